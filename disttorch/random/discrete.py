"""Discrete distributions, integers and choices with torch's own numbers, on ndarrays.

Each `fill_*` writes into `out` (any shape, any strides) and returns it.
"""

from __future__ import annotations

import functools
import math
import warnings

import ml_dtypes
import numpy as np

from disttorch.dtype import TYPE_NAMES, dtype, from_numpy_dtype
from disttorch.random.block import FEW_WORDS
from disttorch.random.continuous import fill_exponential
from disttorch.random.filling import (
    CPP_NAMES,
    Array,
    assign,
    continuous_dtype,
    fill_by_chunk,
    fill_parts,
    memory_order,
    unit_float32,
    unit_float64,
    visit,
)
from disttorch.random.generator import Generator, default_generator

_INT64 = np.dtype(np.int64).char
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
# From this range on torch draws 64 bits a number, to keep the skew of `%` small.
_WIDE_RANGE = 1 << 28
_MAX_CATEGORIES = 1 << 24
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


# ---- discrete distributions ------------------------------------------------------------------


def fill_geometric(out: Array, p: float, generator: Generator | None = None) -> Array:
    """Fill `out` (any dtype but bool) with the number of trials up to the first success."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    source = generator or default_generator
    scale = math.log(1.0 - p)

    def draw(n: int) -> Array:
        with np.errstate(divide="ignore"):
            return np.ceil(np.log(unit_float64(n, source)) / scale)

    return fill_by_chunk(out, draw)


def fill_bernoulli(out: Array, p: float = 0.5, generator: Generator | None = None) -> Array:
    """Fill `out` (any real dtype) with 1 with probability `p`, else 0; dropout's mask is this."""
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    source = generator or default_generator
    if out.dtype == bool:
        limit = math.ceil(p * 2.0**53)
        return fill_parts(out, lambda part: source.below(limit, part))
    return fill_by_chunk(out, lambda n: unit_float64(n, source) < p)


def fill_bernoulli_from(out: Array, p: Array, generator: Generator | None = None) -> Array:
    """Fill `out` with 1 with probability `p`, elementwise; `p` is floating and broadcasts to `out`.

    Raises NotImplementedError for a `p` that is not floating, RuntimeError for one outside [0, 1].
    """
    continuous_dtype(p, "bernoulli_tensor_cpu_p_")
    source = generator or default_generator
    if not np.all((p >= 0) & (p <= 1)):
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message "
            "be improved?  If so, please report an enhancement request to PyTorch.)"
        )
    unit = unit_float64 if p.dtype == np.float64 else unit_float32
    exact = np.broadcast_to(p, out.shape).transpose(memory_order(out))
    probability = exact.astype(np.float64 if unit is unit_float64 else np.float32).reshape(-1)
    return visit(out, lambda flat: assign(flat, unit(flat.size, source) < probability))


# ---- integers --------------------------------------------------------------------------------


def fill_random(out: Array, generator: Generator | None = None) -> Array:
    """Fill `out` with integers from 0 to the largest that its dtype holds exactly.

    Raises NotImplementedError for the unsigned types wider than 8 bits and for complex numbers.
    """
    source = generator or default_generator
    kind = from_numpy_dtype(out.dtype)
    if kind.is_complex or kind.name in ("uint16", "uint32", "uint64"):
        raise NotImplementedError(f"\"random_kernel_cpu\" not implemented for '{TYPE_NAMES[kind]}'")
    modulus = _largest_exact(kind) + 1
    words = source.words64 if kind.name in ("int64", "float64") else source.words
    return fill_by_chunk(out, lambda n: words(n) % np.uint64(modulus))


@functools.lru_cache(64)
def _uint64(number: int) -> Array:
    """A number as an array, which NumPy takes a microsecond to make."""
    return np.array(number, np.uint64)


def fill_random_range(
    out: Array, low: int, high: int | None, generator: Generator | None = None
) -> Array:
    """Fill `out` with integers of [low, high); None means up to the largest that the dtype holds.

    Raises RuntimeError when ``low >= high`` or a bound does not fit the dtype.
    """
    source = generator or default_generator
    if high is None and low == _INT64_MIN:
        return _fill_full_range(out, source)
    if high is None or not -_WIDE_RANGE < low < high < _WIDE_RANGE or out.dtype.char != _INT64:
        low, high = _integer_bounds(from_numpy_dtype(out.dtype), low, high)
    width = high - low
    if out.dtype.char == _INT64 and width < _WIDE_RANGE and 0 < out.size <= FEW_WORDS:
        few = source.few(out.size) if out.flags.c_contiguous else None
        if few is not None:
            block, start = few
            numbers = out.view(np.uint64).reshape(-1)
            np.remainder(block.words[start : start + out.size], _uint64(width), numbers)
            if low:
                out += low
            return out
    words = source.words64 if width >= _WIDE_RANGE else source.words

    def draw(n: int) -> Array:
        numbers = words(n)
        numbers %= np.uint64(width)
        numbers = numbers.view(np.int64)
        numbers += np.int64(low)
        return numbers

    return fill_by_chunk(out, draw)


def _fill_full_range(out: Array, source: Generator) -> Array:
    """Fill with all of the 64-bit range, as `random_(-2**63, None)` does."""
    kind = from_numpy_dtype(out.dtype)
    if kind.name not in ("int64", "float64", "float32", "bfloat16"):
        raise RuntimeError(
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
        )
    return fill_by_chunk(out, lambda n: source.words64(n).view(np.int64))


def _integer_bounds(kind: dtype, low: int, high: int | None) -> tuple[int, int]:
    """Check the bounds of a half-open range and round them to numbers that the dtype holds."""
    if kind.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    if high is None:
        high = _largest_exact(kind) + 1
    elif low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    elif kind.is_floating_point:
        low, high = _round_up(low, kind), _round_down(high, kind)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but "
                f"got from={low} >= to={high}"
            )
    for name, value in (("from", low), ("to - 1", high - 1)):
        _check_holds(kind, name, value)
    return low, high


def _largest_exact(kind: dtype) -> int:
    """Largest integer such that the dtype holds all from 0 to it."""
    if kind.is_floating_point:
        return 1 << _DIGITS[kind.name]
    if kind.name == "bool":
        return 1
    return min(int(np.iinfo(kind.np).max), _INT64_MAX)


def _cast(value: int, kind: dtype) -> int:
    """`value` rounded to the dtype and back, saturated where it does not fit."""
    with np.errstate(over="ignore"):
        rounded = float(kind.np.type(value))
    return int(rounded) if math.isfinite(rounded) else _INT64_MAX if value > 0 else _INT64_MIN


def _round_up(low: int, kind: dtype) -> int:
    rounded = _cast(low + 1, kind)
    if rounded < low:
        low = rounded + (1 << abs(low + 1).bit_length() - _DIGITS[kind.name])
    return low


def _round_down(high: int, kind: dtype) -> int:
    rounded = _cast(high - 1, kind)
    if high <= rounded < _INT64_MAX:
        high = rounded - (1 << abs(high - 1).bit_length() - _DIGITS[kind.name])
    return high


@functools.cache
def _limits(kind: dtype) -> tuple[int, int]:
    """Smallest and largest number of an integer dtype."""
    limits = np.iinfo(kind.np)
    return int(limits.min), int(limits.max)


def _check_holds(kind: dtype, name: str, value: int) -> None:
    """RuntimeError if a bound lies outside the dtype, UserWarning if it is not exact in it."""
    cpp_name = CPP_NAMES[kind.name]
    if kind.is_floating_point:
        fits = abs(value) <= float(ml_dtypes.finfo(kind.np).max)
    elif kind.name == "bool":
        fits = value in (0, 1)
    else:
        lowest, largest = _limits(kind)
        fits = lowest <= value <= largest
    if not fits:
        raise RuntimeError(f"{name} is out of bounds for {cpp_name}")
    digits = _DIGITS.get(kind.name)
    if digits is not None and abs(value) > 1 << digits:
        warnings.warn(
            f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations "
            f"{cpp_name} can support discrete uniform distribution only within this range. This "
            "warning will become an error in version 1.7 release, please fix the code in advance",
            UserWarning,
            stacklevel=4,
        )


# ---- choosing --------------------------------------------------------------------------------


def multinomial(
    weights: Array, n_samples: int, replacement: bool = False, generator: Generator | None = None
) -> Array:
    """Draw category indices by `weights`: (categories,) or (rows, categories), floating.

    Returns int64 (n_samples,) or (rows, n_samples). Raises RuntimeError for weights that are
    negative, not finite or all zero, and for more samples than there are to draw.
    """
    _check_multinomial(weights, n_samples, replacement)
    source = generator or default_generator
    if not replacement or n_samples == 1:
        return _exponential_race(weights, n_samples, source)
    rows = np.atleast_2d(weights).astype(np.promote_types(weights.dtype, np.float32))
    cumulative = np.cumsum(rows, axis=1)
    cumulative /= cumulative[:, -1:]
    cumulative[:, -1] = 1
    uniform = unit_float64(rows.shape[0] * n_samples, source).reshape(rows.shape[0], n_samples)
    chosen = [
        np.searchsorted(c, u) for c, u in zip(cumulative.astype(np.float64), uniform, strict=True)
    ]
    return np.array(chosen, np.int64).reshape(*weights.shape[:-1], n_samples)


def _exponential_race(weights: Array, n_samples: int, source: Generator) -> Array:
    """Draw without replacement: weights over exponential numbers, the largest first."""
    race = fill_exponential(np.empty(weights.shape, weights.dtype), 1.0, source)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(weights, race, out=race)
    if n_samples == 1:
        return race.argmax(axis=-1, keepdims=True)
    return np.argsort(-race, axis=-1, kind="stable")[..., :n_samples]


def _check_multinomial(weights: Array, n_samples: int, replacement: bool) -> None:
    kind = from_numpy_dtype(weights.dtype)
    if not 1 <= weights.ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not kind.is_floating_point:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: " + TYPE_NAMES[kind]
        )
    if n_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    n_categories = weights.shape[-1]
    if not replacement and n_samples > n_categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if n_categories > _MAX_CATEGORIES:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if not (np.all(weights >= 0) and np.all(np.isfinite(weights))):
        if replacement and n_samples != 1:
            negative = not np.all(weights >= 0)  # NaN counts as such
            met = "probability entry < 0" if negative else "probability entry = infinity or NaN"
            raise RuntimeError(f"invalid multinomial distribution (encountering {met})")
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if np.any(weights.sum(axis=-1) == 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
