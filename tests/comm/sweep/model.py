"""What ranks bring to a collective and what they must get: NumPy, in rank order."""

from __future__ import annotations

from functools import cache

import ml_dtypes
import numpy as np

from disttorch.comm.reduce_op import PremulSum, ReduceOp, Reduction

Arrays = list[np.ndarray]

BOOL = [np.dtype(np.bool_)]
INTEGERS = [np.dtype(c) for c in "bhilBHIL"]
HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
BYTES = [
    np.dtype(getattr(ml_dtypes, f"float8_{name}"))
    for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
]
FLOATS = [*HALVES, *BYTES, np.dtype(np.float32), np.dtype(np.float64)]
COMPLEX = [np.dtype(np.complex64), np.dtype(np.complex128)]
DTYPES = [*BOOL, *INTEGERS, *FLOATS, *COMPLEX]

NUMBERS = [*INTEGERS, *FLOATS, *COMPLEX]
REALS = [*BOOL, *INTEGERS, *FLOATS]
BITS = [*BOOL, *INTEGERS]
OPS: dict[Reduction, list[np.dtype]] = {
    ReduceOp.SUM: DTYPES,
    ReduceOp.AVG: NUMBERS,
    ReduceOp.PRODUCT: DTYPES,
    ReduceOp.MIN: REALS,
    ReduceOp.MAX: REALS,
    ReduceOp.BAND: BITS,
    ReduceOp.BOR: BITS,
    ReduceOp.BXOR: BITS,
    PremulSum(0.375): DTYPES,
}
ROUNDED = (ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT, ReduceOp.PREMUL_SUM)

LARGE = 20_021
_MOST_ROWS, _SHIFT = 80, 131


def name_of(op: Reduction) -> ReduceOp:
    """The operation, without its factor."""
    return ReduceOp.PREMUL_SUM if isinstance(op, PremulSum) else op


def is_float(dtype: np.dtype) -> bool:
    """Whether of real floats, NumPy's or those of ml_dtypes."""
    return dtype in FLOATS


def row(index: int, size: int, dtype: np.dtype, *, edges: bool) -> np.ndarray:
    """Values number `index` of `size` items, read-only; rows are shifted parts of one pool."""
    start = index % _MOST_ROWS * _SHIFT
    return pool(dtype, edges)[start : start + size]


@cache
def pool(dtype: np.dtype, edges: bool) -> np.ndarray:
    """Random values; with `edges` among them NaN, infinities, both zeros and whole ranges."""
    random = np.random.default_rng([dtype.itemsize, ord(dtype.kind), edges])
    n = LARGE + _MOST_ROWS * _SHIFT
    if dtype.kind == "b":
        made = random.integers(0, 2, n).astype(dtype)
    elif dtype.kind in "iu":
        info = np.iinfo(dtype)
        made = random.integers(0, 9, n, dtype)
        if edges:
            spots = random.random(n) < 0.4
            made[spots] = random.integers(info.min, info.max, spots.sum(), dtype, endpoint=True)
    elif dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        made = np.empty(n, dtype)
        made.real, made.imag = (_floats(random, n, part, edges) for _ in range(2))
    else:
        made = _floats(random, n, dtype, edges)
    made.flags.writeable = False
    return made


def _floats(random: np.random.Generator, n: int, dtype: np.dtype, edges: bool) -> np.ndarray:
    made = (random.normal(size=n) * 2).astype(dtype)
    if edges:
        info = ml_dtypes.finfo(dtype)
        tiny, large = float(info.smallest_subnormal), float(info.max) / 16
        odd = [np.nan, -np.nan, np.inf, -np.inf, tiny, -tiny, large, -large, *[0.0, -0.0] * 6]
        spots = random.random(n) < 0.4
        made[spots] = random.choice(odd, int(spots.sum())).astype(dtype)
    return made


def reduced(op: Reduction, rows: Arrays) -> np.ndarray:
    """The rows reduced one after another; short floats in float32 and rounded once."""
    dtype, name = rows[0].dtype, name_of(op)
    wide = dtype
    if is_float(dtype) and dtype.itemsize <= 2 and name in ROUNDED:
        wide = np.dtype(np.float32)
    total = rows[0].astype(wide)
    for each in rows[1:]:
        total = _two(name, total, each.astype(wide))
    if name is ReduceOp.AVG:
        total = _divided(total, len(rows))
    elif isinstance(op, PremulSum):
        total = _scaled(total, op.factor).astype(wide)
    return total.astype(dtype)


def _two(name: ReduceOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if name in (ReduceOp.MIN, ReduceOp.MAX):
        return (np.minimum if name is ReduceOp.MIN else np.maximum)(a, b)
    if name in (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR):
        return {"BAND": a & b, "BOR": a | b, "BXOR": a ^ b}[name.name]
    if a.dtype.kind == "b":
        return a & b if name is ReduceOp.PRODUCT else a | b
    if a.dtype.kind == "c" and name is ReduceOp.PRODUCT:
        return _joined(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)
    return a * b if name is ReduceOp.PRODUCT else a + b


def _joined(real: np.ndarray, imag: np.ndarray) -> np.ndarray:
    made = np.empty(real.shape, f"c{2 * real.itemsize}")
    made.real, made.imag = real, imag
    return made


def _scaled(total: np.ndarray, factor: float) -> np.ndarray:
    if total.dtype.kind == "c":
        return _joined(total.real * factor, total.imag * factor)
    return total * factor


def _divided(total: np.ndarray, n: int) -> np.ndarray:
    if total.dtype.kind == "c":
        return _joined(_divided(total.real, n), _divided(total.imag, n))
    if total.dtype.kind not in "iu":
        return (total / total.dtype.type(n)).astype(total.dtype)
    # As in C: towards zero.
    magnitude = np.abs(total.astype(object)) // n
    return np.where(total < 0, -magnitude, magnitude).astype(total.dtype)


def check_bits(got: np.ndarray, wanted: np.ndarray, what: object) -> None:
    """Equal bits, but for those of a NaN, of which there are many; AssertionError if not."""
    assert (got.dtype, got.size) == (wanted.dtype, wanted.size), what
    if got.dtype.kind == "c":
        for part in ("real", "imag"):
            check_bits(np.ascontiguousarray(getattr(got, part)), getattr(wanted, part), what)
        return
    plain = [np.ascontiguousarray(array) for array in (got, wanted)]
    same = np.all(np.equal(*(a.view(np.uint8).reshape(a.size, a.itemsize) for a in plain)), axis=-1)
    if not same.all() and is_float(got.dtype):
        same |= np.isnan(plain[0]) & np.isnan(plain[1])
    if not same.all():
        at = np.flatnonzero(~same)
        raise AssertionError(f"{what}: {at.size} of {got.size} differ, first at {at[0]}: "
                             f"{got[at[0]]!r}, wanted {wanted[at[0]]!r}")  # fmt: skip


def check_close(got: np.ndarray, op: Reduction, rows: Arrays, what: object) -> None:
    """As by any order of the rows: exact where orders make no difference, else within rounding."""
    dtype = got.dtype
    if dtype.kind in "biu" or name_of(op) in (ReduceOp.MIN, ReduceOp.MAX):
        wanted = reduced(op, rows)
        if name_of(op) in (ReduceOp.MIN, ReduceOp.MAX):
            got, wanted = (np.where(a == 0, np.zeros_like(a), a) for a in (got, wanted))
        check_bits(got, wanted, what)
        return
    orders = [reduced(op, rows[i:] + rows[:i]) for i in range(len(rows))]
    orders += [reduced(op, rows[::-1])]
    sure = _within_range(rows) if op is ReduceOp.PRODUCT else np.ones(got.shape, bool)
    if dtype.kind == "c":
        # Of a complex number with an infinite part any other part may come out.
        sure &= np.all([np.isfinite(o) for o in orders], axis=0)
    else:
        sure &= np.all([_kind(o) == _kind(orders[0]) for o in orders], axis=0)
        np.testing.assert_array_equal(_kind(got)[sure], _kind(orders[0])[sure], err_msg=str(what))
    finite = sure & np.isfinite(orders[0])
    wide = np.complex128 if dtype.kind == "c" else np.float64
    sizes = [np.abs(r[finite].astype(wide)) for r in rows]
    scale = np.prod(sizes, axis=0) if op is ReduceOp.PRODUCT else np.sum(sizes, axis=0)
    part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    info = ml_dtypes.finfo(part)
    slack = float(info.eps) * (len(rows) + 2) * 2 * scale + 4 * float(info.smallest_subnormal)
    error = np.abs(got[finite].astype(wide) - orders[0][finite].astype(wide))
    worst = int(np.argmax(error - slack)) if error.size else 0
    assert not error.size or error[worst] <= slack[worst], (what, error[worst], slack[worst])


def _within_range(rows: Arrays) -> np.ndarray:
    """Where no product of some of the rows overflows or underflows."""
    part = ml_dtypes.finfo(np.float32 if rows[0].itemsize <= 2 else rows[0].real.dtype)
    sizes = [np.abs(r.astype(np.complex128)) for r in rows]
    sure = np.all([np.isfinite(size) for size in sizes], axis=0)
    logs = [np.log2(np.where((size > 0) & sure, size, 1.0)) for size in sizes]
    most, least = (sum(pick(log, 0.0) for log in logs) for pick in (np.maximum, np.minimum))
    return sure & (most < np.log2(float(part.max)) - 1) & (least > np.log2(float(part.tiny)) + 1)


def _kind(array: np.ndarray) -> np.ndarray:
    wide = array.astype(np.float64)
    return np.where(np.isnan(wide), 3, np.where(np.isinf(wide), np.sign(wide), 0))
