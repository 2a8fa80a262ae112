"""Rows of `ops/pointwise_special.py`; references are Python's math functions and their inverses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    binary,
    complexes,
    elementwise,
    floats,
    sample,
)


def each(function: Callable[[float], float]) -> Callable[[Any], np.ndarray]:
    """Apply a function of one number to every element."""

    def apply(x: Any) -> np.ndarray:
        x = np.asarray(x, np.float64)
        values = np.array([function(float(v)) for v in x.reshape(-1)], np.float64)
        return values.reshape(x.shape)

    return apply


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def logit(x: np.ndarray, eps: float | None = None) -> np.ndarray:
    """log(x / (1 - x))."""
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def inverse_erf(y: float) -> float:
    """Solve erf(x) = y by bisection."""
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


def lgamma_derivative(x: float) -> float:
    """Central difference of lgamma, with Richardson's extrapolation."""

    def difference(h: float) -> float:
        return (math.lgamma(x + h) - math.lgamma(x - h)) / (2 * h)

    return (4 * difference(5e-4) - difference(1e-3)) / 3


def zeta_sum(n: int, x: np.ndarray) -> np.ndarray:
    """Polygamma by its defining series, its tail as an integral."""
    k = np.arange(20000.0).reshape((-1,) + (1,) * np.ndim(x))
    series = (1 / (x + k) ** (n + 1)).sum(0) + 1 / (n * (x + 20000 - 0.5) ** n)
    return np.asarray((-1) ** (n + 1) * math.factorial(n) * series)


POSITIVE = elementwise(0.2, 4.0)
BOTH = {"integers": "float", "bools": "float"}

SPECS = (
    OpSpec("digamma", ref=each(lgamma_derivative), samples=POSITIVE, rtol=1e-7, atol=1e-8),
    OpSpec("erf", ref=each(math.erf), samples=elementwise(-3, 3), **BOTH),
    OpSpec("erfc", ref=each(math.erfc), samples=elementwise(-3, 5), **BOTH),
    OpSpec("erfinv", ref=each(inverse_erf), samples=elementwise(-0.95, 0.95), rtol=1e-9),
    OpSpec(
        "lgamma", ref=each(math.lgamma), samples=elementwise(-1.9, 5, avoid=(-1, 0)), atol=1e-10
    ),
    OpSpec(
        "logit",
        ref=logit,
        samples=(*elementwise(0.1, 0.9), sample(floats(5, low=-0.5, high=1.5), eps=0.2)),
    ),
    OpSpec(
        "polygamma",
        ref=zeta_sum,
        samples=tuple(
            sample(n, floats(*s, low=0.3, high=4)) for n in (1, 2) for s in [(), (3,), (0,)]
        ),
        rtol=1e-7,
    ),
    OpSpec(
        "sigmoid",
        ref=sigmoid,
        samples=elementwise(-5, 5, extra=(sample(complexes(3)),)),
        **BOTH,
    ),
    OpSpec("expit", ref=sigmoid, samples=elementwise(-5, 5)),
    OpSpec(
        "xlogy",
        ref=lambda x, y: x * np.log(y),
        samples=binary(floats, lambda *s: floats(*s, low=0.2)),
    ),
)
