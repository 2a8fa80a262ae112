"""Reductions over ranks: which operations exist, on which dtypes, and how they are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Reduce = Callable[[Array, Sequence[Array]], None]
"""Write into the first argument, a flat array, the reduction of the others, in their order.

One of the first two of the others may be the same memory as the result; the rest must not overlap.
"""


class ReduceOp(IntEnum):
    """torch.distributed.ReduceOp's operations."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8

    # Enum's own hash is Python code, and every call looks its operation up.
    __hash__ = int.__hash__

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"

    def __repr__(self) -> str:
        return f"<RedOpType.{self.name}: {self.value}>"


class ReductionError(TypeError, RuntimeError):
    """An operation that a dtype does not have; of PyTorch's backends it is a RuntimeError."""


@dataclass(frozen=True)
class PremulSum:
    """ReduceOp.PREMUL_SUM with its factor: the sum of every rank's values times `factor`.

    The factor must be equal on all ranks. Integers are truncated towards zero.
    """

    factor: float

    @property
    def name(self) -> str:
        """`PREMUL_SUM(0.5)`, by which ranks find out that they disagree."""
        return f"PREMUL_SUM({self.factor!r})"


@dataclass(frozen=True, eq=False)
class NamedOp:
    """An operation on something that must be the same on all ranks: `name` says what it is.

    Ranks that reduce things of other names find out that they disagree, be they of one size.
    """

    op: ReduceOp
    name: str


Reduction = ReduceOp | PremulSum | NamedOp

_UFUNCS: dict[ReduceOp, np.ufunc] = {
    ReduceOp.SUM: np.add,
    ReduceOp.AVG: np.add,
    ReduceOp.PRODUCT: np.multiply,
    ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
    ReduceOp.BAND: np.bitwise_and,
    ReduceOp.BOR: np.bitwise_or,
    ReduceOp.BXOR: np.bitwise_xor,
    ReduceOp.PREMUL_SUM: np.add,
}
# Kinds of np.dtype: b bool, i and u integers, f floats, c complex; ml_dtypes' floats count as f.
_KINDS: dict[ReduceOp, str] = {
    ReduceOp.SUM: "biufc",
    ReduceOp.AVG: "iufc",
    ReduceOp.PRODUCT: "biufc",
    ReduceOp.MIN: "biuf",
    ReduceOp.MAX: "biuf",
    ReduceOp.BAND: "biu",
    ReduceOp.BOR: "biu",
    ReduceOp.BXOR: "biu",
    ReduceOp.PREMUL_SUM: "biufc",
}
_KIND_NAMES = {"b": "bool", "i": "integer", "u": "integer", "f": "floating", "c": "complex"}
_ROUNDED_OPS = (ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT, ReduceOp.PREMUL_SUM)
# Halves are summed as float32 in blocks of this many elements, which stay in the L1 and L2 caches.
_BLOCK = 1 << 14


@lru_cache(maxsize=256)
def reducer(op: Reduction, dtype: np.dtype[Any], n_ranks: int) -> Reduce:
    """The function that reduces `n_ranks` arrays; ReductionError if `op` cannot do their dtype.

    SUM, AVG, PRODUCT and PREMUL_SUM of 16-bit floats accumulate in float32 and round once. AVG and
    PREMUL_SUM of integers truncate towards zero. SUM of bools is OR, PRODUCT is AND. A NaN of any
    rank is the MIN and the MAX.
    """
    if isinstance(op, NamedOp):
        return reducer(op.op, dtype, n_ranks)
    name = ReduceOp.PREMUL_SUM if isinstance(op, PremulSum) else ReduceOp(op)
    kind = _kind(dtype)
    if kind not in _KINDS[name]:
        what = _KIND_NAMES.get(kind, str(dtype))
        raise ReductionError(f"Cannot use ReduceOp.{name.name} with {what} dtype {dtype.name}")
    reduce = _fold(_multiply if (kind, name) == ("c", ReduceOp.PRODUCT) else _UFUNCS[name])
    if name is ReduceOp.AVG:
        reduce = _divided(reduce, kind, n_ranks)
    elif isinstance(op, PremulSum):
        reduce = _scaled(reduce, op.factor)
    elif name is ReduceOp.PREMUL_SUM:
        raise ValueError("ReduceOp.PREMUL_SUM needs its factor: pass premul_sum(factor)")
    if kind == "f" and dtype.itemsize <= 2 and name in _ROUNDED_OPS:
        reduce = _through_float32(reduce)
    return reduce


def _kind(dtype: np.dtype[Any]) -> str:
    # ml_dtypes registers its floats under kind V.
    return "f" if dtype.kind == "V" and "float" in dtype.name else dtype.kind


def _fold(two: Callable[..., object]) -> Reduce:
    def fold(out: Array, parts: Sequence[Array]) -> None:
        if len(parts) == 1:
            np.copyto(out, parts[0])
            return
        two(parts[0], parts[1], out=out)
        for part in parts[2:]:
            two(out, part, out=out)

    return fold


def _multiply(one: Array, two: Array, out: Array) -> None:
    """Complex numbers by their parts: NumPy's own rounds by where an array lies and how long it is.

    Ranks that reduce the same for themselves would get different bits.
    """
    real = one.real * two.real - one.imag * two.imag
    imag = one.real * two.imag + one.imag * two.real
    out.real, out.imag = real, imag


def _numbers(out: Array) -> Array:
    """What is scaled: of complex numbers each part, which else an infinity in the other spoils."""
    return out.view(out.real.dtype) if out.dtype.kind == "c" else out


def _divided(fold: Reduce, kind: str, n_ranks: int) -> Reduce:
    # Of a power of two the reciprocal is exact, and a product takes half the time of a quotient.
    reciprocal = 1 / n_ranks if n_ranks & (n_ranks - 1) == 0 else None

    def average(out: Array, parts: Sequence[Array]) -> None:
        fold(out, parts)
        if kind in "fc":
            out = _numbers(out)
        if kind in "fc" and reciprocal is not None:
            np.multiply(out, reciprocal, out)
        elif kind in "fc":
            np.true_divide(out, n_ranks, out)
        else:
            # fmod takes the sign of the dividend, so the quotient is truncated and not floored.
            np.floor_divide(out - np.fmod(out, n_ranks), n_ranks, out)

    return average


def _scaled(fold: Reduce, factor: float) -> Reduce:
    def premultiplied(out: Array, parts: Sequence[Array]) -> None:
        fold(out, parts)
        out = _numbers(out)
        # Conversion to integers truncates; to bool, it asks whether there is anything left.
        np.multiply(out, factor, out, casting="unsafe")

    return premultiplied


def _through_float32(reduce: Reduce) -> Reduce:
    def reduce_halves(out: Array, parts: Sequence[Array]) -> None:
        for start in range(0, out.size, _BLOCK):
            wide = [part[start : start + _BLOCK].astype(np.float32) for part in parts]
            reduce(wide[0], wide)
            out[start : start + _BLOCK] = wide[0]

    return reduce_halves
