"""How samplers write arrays: visiting order, chunks, and the uniform numbers all others use.

Elements are visited in memory order, the way torch visits them, so a transposed array gets the
same values at the same addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from disttorch.dtype import TYPE_NAMES, dtype, from_numpy_dtype
from disttorch.random.generator import Generator

Array = np.ndarray
Draw = Callable[[int], Array]

# Elements worked on at a time: the words and the results of one chunk stay in the L2 cache.
# A multiple of 16, the block of the vectorised Box-Muller transform.
_CHUNK = 1 << 15
_SMALL = 1 << 11  # up to which nobody asks for a kernel
CPP_NAMES = {
    **{"float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float"},
    **{"float64": "double", "uint8": "unsigned char", "int8": "signed char", "int16": "short"},
    **{"int32": "int", "int64": "long", "bool": "bool", "uint16": "unsigned short"},
    **{"uint32": "unsigned int", "uint64": "unsigned long"},
}


# ---- visiting an array -----------------------------------------------------------------------


def chunks(n: int) -> Iterator[slice]:
    """Cut ``range(n)`` into slices of the working size."""
    return (slice(i, min(i + _CHUNK, n)) for i in range(0, n, _CHUNK))


def memory_order(out: Array) -> tuple[int, ...]:
    """Dimensions from the slowest in memory to the fastest; ties keep their order."""
    return tuple(sorted(range(out.ndim), key=lambda d: -abs(out.strides[d])))


def visit(out: Array, fill: Callable[[Array], None]) -> Array:
    """Let `fill` write a flat contiguous array, whose values become `out`'s in memory order."""
    if out.size == 0:
        return out
    ordered = out if out.flags.c_contiguous else out.transpose(memory_order(out))
    if ordered.flags.c_contiguous:
        fill(ordered.reshape(-1))
    else:
        flat = np.empty(out.size, out.dtype)
        fill(flat)
        ordered[...] = flat.reshape(ordered.shape)
    return out


def fill_by_chunk(out: Array, draw: Draw) -> Array:
    """Fill `out` with ``draw(n)``, a chunk at a time."""
    if out.flags.c_contiguous and 0 < out.size <= _CHUNK:  # for small arrays each call counts
        assign(out.reshape(-1), draw(out.size))
        return out

    def fill(flat: Array) -> None:
        for part in chunks(flat.size):
            assign(flat[part], draw(part.stop - part.start))

    return visit(out, fill)


def fill_parts(out: Array, fill: Callable[[Array], None]) -> Array:
    """Let `fill` write flat contiguous `out`, a chunk at a time."""

    def fill_all(flat: Array) -> None:
        for part in chunks(flat.size):
            fill(flat[part])

    return visit(out, fill_all)


def assign(flat: Array, values: Array) -> None:
    """Copy `values` into `flat`, casting; float64 reaches the 16-bit types by way of float32."""
    if flat.dtype.itemsize == 2 and values.dtype == np.float64:
        values = values.astype(np.float32)
    flat[:] = values


def continuous_dtype(out: Array, kernel: str) -> dtype:
    """Dtype of `out`; NotImplementedError unless floating or complex."""
    kind = from_numpy_dtype(out.dtype)
    if not (kind.is_floating_point or kind.is_complex):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{TYPE_NAMES[kind]}'")
    return kind


# ---- uniform numbers -------------------------------------------------------------------------


# Arrays, because NumPy takes a microsecond to make one of a number.
_LOW_24, _LOW_53 = np.array((1 << 24) - 1, np.uint64), np.array((1 << 53) - 1, np.uint64)
_SCALE_24, _SCALE_53 = np.array(2.0**-24, np.float32), np.array(2.0**-53)


def unit_float32(n: int, generator: Generator, out: Array | None = None) -> Array:
    """Return the next `n` numbers of [0, 1) with 24 random bits, float32 (n,), perhaps in `out`."""
    if n > _SMALL:
        numbers = np.empty(n, np.float32) if out is None else out
        if generator.units(numbers):
            return numbers
    elif few := generator.few(n) if n else None:
        block, start = few
        few_units = block.units[start : start + n]
        return few_units.copy() if out is None else np.positive(few_units, out)
    words = generator.words(n)
    np.bitwise_and(words, _LOW_24, words)
    # Signed integers convert to floating point several times faster than unsigned ones.
    units = words.view(np.int64).astype(np.float32)
    return np.multiply(units, _SCALE_24, units if out is None else out)


def unit_float64(n: int, generator: Generator) -> Array:
    """Return the next `n` numbers of [0, 1) with 53 random bits, float64 (n,)."""
    if few := generator.few(2 * n) if n else None:
        block, start = few
        return block.units64(start, n).copy()
    words = generator.words64(n)
    np.bitwise_and(words, _LOW_53, words)
    units = words.view(np.int64).astype(np.float64)
    return np.multiply(units, _SCALE_53, units)
