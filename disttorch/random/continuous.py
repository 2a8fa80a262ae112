"""Continuous distributions that fill ndarrays with torch's own numbers.

Each `fill_*` writes into `out` (any shape, any strides) and returns it. Given the same generator
state, values agree with torch 2.13 on the CPU to rounding, and as many words are drawn.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from disttorch.dtype import TYPE_NAMES, dtype, from_numpy_dtype
from disttorch.random.block import FEW_WORDS
from disttorch.random.filling import (
    CPP_NAMES,
    Array,
    assign,
    chunks,
    continuous_dtype,
    fill_by_chunk,
    unit_float32,
    unit_float64,
    visit,
)
from disttorch.random.generator import Generator, default_generator

_BLOCK = 16
_FEW_BLOCKS = 1 << 10  # numbers
_FEW_NUMBERS = 1 << 15  # that are drawn at once


def _as_real(out: Array) -> Array:
    """View complex numbers (*) as reals (*, 2)."""
    return out[..., None].view(out.real.dtype)


def fill_uniform(
    out: Array, low: float = 0.0, high: float = 1.0, generator: Generator | None = None
) -> Array:
    """Fill floating or complex `out` (any shape) uniformly from [low, high).

    Raises RuntimeError for bounds out of order or out of the dtype's range.
    """
    source = generator or default_generator
    if out.dtype.char == "f" and low == 0.0 and high == 1.0 and 0 < out.size <= _FEW_NUMBERS:
        if out.flags.c_contiguous:
            n = out.size
            few = source.few(n)
            flat = out if out.ndim == 1 else out.reshape(-1)
            if few is None:
                unit_float32(n, source, flat)
            else:
                block, start = few
                flat[:] = block.units[start : start + n]
            return out
    kind = continuous_dtype(out, "check_uniform_bounds")
    if kind.is_complex:
        fill_uniform(_as_real(out), low, high, source)
        return out
    if (low, high) != (0.0, 1.0):
        _check_uniform_bounds(low, high, kind)
    if kind.itemsize < 4:
        return _fill_uniform_rounded(out, low, high, source)
    unit = unit_float64 if out.dtype == np.float64 else unit_float32
    if low == 0.0 and high == 1.0:
        return fill_by_chunk(out, lambda n: unit(n, source))
    real = out.dtype.type
    first, width = float(real(low)), float(real(high) - real(low))
    # In float64 the product of two float32 is exact, as in torch's fused multiply-add.
    return fill_by_chunk(out, lambda n: unit(n, source).astype(np.float64) * width + first)


def _fill_uniform_rounded(out: Array, low: float, high: float, source: Generator) -> Array:
    """16-bit types: computed in float32; what rounds up to the excluded `high` becomes `low`."""
    first, width = float(np.float32(low)), float(np.float32(high) - np.float32(low))
    bounds = np.array([low, high]).astype(out.dtype)

    def draw(n: int) -> Array:
        exact = unit_float32(n, source).astype(np.float64) * width + first
        rounded = exact.astype(np.float32).astype(out.dtype)
        rounded[rounded >= bounds[1]] = bounds[0]
        return rounded

    return fill_by_chunk(out, draw)


def _check_uniform_bounds(low: float, high: float, kind: dtype) -> None:
    largest = float(ml_dtypes.finfo(kind.np).max)
    for name, value in (("from", low), ("to", high)):
        if not -largest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {CPP_NAMES[kind.name]}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{TYPE_NAMES[kind]}>::max(), but "
            f"found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


# ---- normal numbers --------------------------------------------------------------------------


def fill_normal(
    out: Array, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Array:
    """Fill floating or complex `out` (any shape) from the normal distribution.

    Complex numbers get `std` as a whole: each of their two parts has ``std / sqrt(2)``. Raises
    RuntimeError for a negative `std`.
    """
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    source = generator or default_generator
    if out.dtype.char == "f" and 0 < out.size <= FEW_WORDS and out.flags.c_contiguous:
        if _fill_few_normals(out.reshape(-1), mean, std, source):
            return out
    if continuous_dtype(out, "normal_kernel_cpu").is_complex:
        fill_normal(_as_real(out), mean, std / math.sqrt(2.0), source)
    elif out.size >= _BLOCK and out.flags.c_contiguous:
        _fill_normal_blocks(out.reshape(-1), mean, std, source)
    else:
        visit(out, lambda flat: assign(flat, _scaled(_normal_pairs(flat.size, source), mean, std)))
    return out


def _fill_few_normals(flat: Array, mean: float, std: float, source: Generator) -> bool:
    """Fill contiguous float32 elements if the block at hand has the words for them."""
    n = flat.size
    if n < _BLOCK:
        kept = source.next_normal
        lead = 0 if kept is None else 1
        n_pairs = (n - lead + 1) // 2
        few = source.few(4 * n_pairs) if n_pairs else None
        if few is None:
            return False
        block, start = few
        normals = block.pairs(start, n_pairs).reshape(-1)
        source.next_normal = None if (n - lead) % 2 == 0 else float(normals[-1])
        flat[lead:] = _scaled(normals[: n - lead], mean, std)
        if kept is not None:
            flat[0] = kept * std + mean
        return True
    rest = n % _BLOCK
    few = source.few(n + _BLOCK if rest else n)
    if few is None:
        return False
    block, start = few
    flat[: n - rest].reshape(-1, 2, _BLOCK // 2)[...] = block.normals(start, n - rest)
    if rest:
        flat[-_BLOCK:].reshape(1, 2, _BLOCK // 2)[...] = block.normals(start + n, _BLOCK)
    if mean != 0.0 or std != 1.0:
        flat[:] = flat.astype(np.float64) * float(np.float32(std)) + float(np.float32(mean))
    return True


def _scaled(normals: Array, mean: float, std: float) -> Array:
    return normals if mean == 0.0 and std == 1.0 else normals * std + mean


def _fill_normal_blocks(flat: Array, mean: float, std: float, source: Generator) -> None:
    """Fill 16 or more contiguous elements in blocks of 16; a last part block is drawn anew."""
    work = np.float64 if flat.dtype == np.float64 else np.float32
    unit = unit_float64 if work is np.float64 else unit_float32
    rest = flat.size % _BLOCK
    whole = flat.size - rest
    # torch draws uniforms for every element before it overwrites the last 16.
    unused = rest if flat.dtype == work else 0
    if rest and whole <= _FEW_BLOCKS:  # all at once: for small arrays each call counts
        u = unit(whole + unused + _BLOCK, source)
        u[whole : whole + _BLOCK] = u[-_BLOCK:]
        normals = _box_muller(u[: whole + _BLOCK], mean, std)
        flat[:whole], flat[-_BLOCK:] = normals[:whole], normals[whole:]
        return
    for part in chunks(whole):
        flat[part] = _box_muller(unit(part.stop - part.start, source), mean, std)
    if rest:
        unit(unused, source)
        flat[-_BLOCK:] = _box_muller(unit(_BLOCK, source), mean, std)


# Arrays, because NumPy takes a microsecond to make one of a number.
_CONSTANTS = {
    kind: [np.array(number, kind) for number in (1, -2, 2 * math.pi)] for kind in ("f", "d")
}


def _box_muller(u: Array, mean: float, std: float) -> Array:
    """Normal numbers from uniform ones (n,), n a multiple of 16: 8 radii, then 8 angles."""
    halves = u.reshape(-1, 2, _BLOCK // 2)
    # Contiguous work arrays: the log, sqrt, sin and cos loops need them to use vector units.
    one, minus_two, circle = _CONSTANTS[u.dtype.char]
    radius = np.subtract(one, halves[:, 0], np.empty((len(halves), _BLOCK // 2), u.dtype))
    np.log(radius, radius)
    np.multiply(radius, minus_two, radius)
    np.sqrt(radius, radius)
    theta = np.multiply(halves[:, 1], circle, np.empty(radius.shape, u.dtype))
    np.multiply(np.cos(theta), radius, halves[:, 0])
    np.multiply(np.sin(theta, theta), radius, halves[:, 1])
    if mean == 0.0 and std == 1.0:
        return u
    dtype_of = u.dtype.type
    exact = u.astype(np.float64) * float(dtype_of(std)) + float(dtype_of(mean))
    return exact.astype(u.dtype)


def _normal_pairs(n: int, source: Generator) -> Array:
    """The scalar path: `n` standard normals, float64 (n,), the odd one kept for the next call."""
    kept, source.next_normal = source.next_normal, None
    start = [] if kept is None else [kept]
    n_pairs = max(0, n - len(start) + 1) // 2
    u = unit_float64(2 * n_pairs, source)
    if n <= _FEW:
        normals: Any = start + _normals_one_by_one(u.tolist())
    else:
        radius, theta = np.sqrt(-2.0 * np.log1p(-u[1::2])), 2.0 * math.pi * u[::2]
        pairs = np.stack([radius * np.cos(theta), radius * np.sin(theta)], axis=1)
        normals = np.concatenate([start, pairs.reshape(-1)])
    if len(normals) > n:
        source.next_normal = float(normals[n])
    return np.asarray(normals[:n], np.float64)


_FEW = 32  # numbers that Python's arithmetic does sooner than NumPy is called


def _normals_one_by_one(u: list[float]) -> list[float]:
    """Box-Muller on pairs (angle, radius) of uniform numbers."""
    normals = []
    for angle, uniform in zip(u[::2], u[1::2], strict=True):
        radius, theta = math.sqrt(-2.0 * math.log1p(-uniform)), 2.0 * math.pi * angle
        normals += [radius * math.cos(theta), radius * math.sin(theta)]
    return normals


def fill_log_normal(
    out: Array, mean: float = 1.0, std: float = 2.0, generator: Generator | None = None
) -> Array:
    """Fill floating `out` with exp of normal numbers; RuntimeError unless ``std > 0``."""
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    source = generator or default_generator
    continuous_dtype(out, "log_normal_cpu")
    return visit(
        out, lambda flat: assign(flat, np.exp(_normal_pairs(flat.size, source) * std + mean))
    )


# ---- other continuous distributions ----------------------------------------------------------


def _require_floating(out: Array, name: str) -> None:
    kind = from_numpy_dtype(out.dtype)
    if not kind.is_floating_point:
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {TYPE_NAMES[kind]}"
        )


def fill_exponential(out: Array, lambd: float = 1.0, generator: Generator | None = None) -> Array:
    """Fill floating `out` from the exponential distribution of rate `lambd` > 0."""
    if not lambd > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    _require_floating(out, "Exponential")
    source = generator or default_generator
    return fill_by_chunk(out, lambda n: -1.0 / lambd * np.log1p(-unit_float64(n, source)))


def fill_cauchy(
    out: Array, median: float = 0.0, sigma: float = 1.0, generator: Generator | None = None
) -> Array:
    """Fill floating `out` from the Cauchy distribution; RuntimeError unless ``sigma > 0``."""
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    _require_floating(out, "Cauchy")
    source = generator or default_generator
    return fill_by_chunk(
        out, lambda n: median + sigma * np.tan(math.pi * (unit_float64(n, source) - 0.5))
    )
