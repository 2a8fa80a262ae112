"""x P(N < x) and its derivative for large float32 arrays, which share one exponential, and few.

The normal distribution's tail is exp(-x^2 / 2) times a polynomial in t = 1 / (1 + p |x|):
Abramowitz and Stegun, 7.1.26, off by less than 8e-8. A ratio of polynomials for erf takes longer,
and another exponential for the derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erfc, exp, pi, sqrt

import numpy as np

Array = np.ndarray

_FEW = 32  # elements that Python computes sooner than the array library, and in double precision
_SMALL = 1 << 11  # elements up to which fewer calls count for more than fewer passes
_BLOCK = 1 << 15  # elements of a block, which stays in the cache with its three temporaries
_P = np.float32(0.3275911 / sqrt(2))
_TAIL = tuple(
    np.float32(c / 2) for c in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)
_TO_ERF, _ROOT = -1 / sqrt(2), sqrt(2 * pi)
_ONE, _HALF = np.float32(1), np.float32(0.5)
_DENSITY = np.float32(1 / sqrt(2 * pi))


def fits(x: Array) -> bool:
    """Whether this is the way to compute on `x`."""
    return x.dtype.char == "f" and (x.size > _SMALL or x.size <= _FEW)


def gelu(x: Array) -> Array:
    """Return x times the probability of values below x."""
    if x.size <= _FEW:
        values = [0.5 * v * erfc(v * _TO_ERF) for v in x.ravel().tolist()]
        return np.array(values, x.dtype).reshape(x.shape)
    return _in_blocks(x, lambda x, below, e, out: np.multiply(x, below, out=out))


def gelu_slope(x: Array) -> Array:
    """Return the derivative: the probability plus x times the density."""
    if x.size <= _FEW:
        values = [
            0.5 * erfc(v * _TO_ERF) + v * exp(-0.5 * v * v) / _ROOT for v in x.ravel().tolist()
        ]
        return np.array(values, x.dtype).reshape(x.shape)
    return _in_blocks(x, _slope)


def _slope(x: Array, below: Array, e: Array, out: Array) -> None:
    e *= x
    e *= _DENSITY
    np.add(below, e, out=out)


def _in_blocks(x: Array, finish: Callable[[Array, Array, Array, Array], object]) -> Array:
    y = np.empty(x.shape, x.dtype)
    source, target = x.reshape(-1), y.reshape(-1)
    scratch = np.empty((3, min(_BLOCK, x.size)), x.dtype)
    for start in range(0, x.size, _BLOCK):
        block, out = source[start : start + _BLOCK], target[start : start + _BLOCK]
        t, below, e = scratch[:, : block.size]
        _probability(block, t, below, e)
        finish(block, below, e, out)
    return y


def _probability(x: Array, t: Array, below: Array, e: Array) -> None:
    """Write P(N < x) into `below` and exp(-x^2 / 2) into `e`."""
    np.absolute(x, out=t)
    t *= _P
    t += _ONE
    np.divide(_ONE, t, out=t)
    np.multiply(t, _TAIL[-1], out=below)
    for c in _TAIL[-2::-1]:
        below += c
        below *= t
    np.multiply(x, x, out=e)
    e *= -_HALF
    np.exp(e, out=e)
    below *= e
    np.subtract(_HALF, below, out=below)
    np.copysign(below, x, out=below)
    below += _HALF
