"""Rows of `ops/activation_smooth.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from disttorch.testing.opspec.pointwise_special import each, sigmoid
from disttorch.testing.opspec.spec import OpSpec, array, complexes, elementwise, floats, sample

FAR = array([-200.0, -30.0, 30.0, 200.0])


def rows(*avoid: float, **kwargs: Any) -> Any:
    """The usual samples over [-4, 4), away from kinks."""
    return elementwise(-4, 4, avoid=avoid, **kwargs)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return alpha * (exp(x) - 1) below 0."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """Return x times the normal distribution function."""
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + each(math.erf)(x / np.sqrt(2)))


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """log(1 + exp(beta x)) / beta."""
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


SPECS = (
    OpSpec(
        "celu",
        ref=lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0),
        samples=(*rows(0), *rows(0, alpha=0.7)),
    ),
    OpSpec("elu", ref=elu, samples=(*rows(0), *rows(0, alpha=0.7))),
    OpSpec("gelu", ref=gelu, samples=(*rows(), *rows(approximate="tanh"))),
    OpSpec("logsigmoid", ref=lambda x: -np.logaddexp(0, -x), samples=(*rows(), sample(FAR))),
    OpSpec("mish", ref=lambda x: x * np.tanh(np.logaddexp(0, x)), samples=(*rows(), sample(FAR))),
    OpSpec(
        "selu",
        ref=lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
        samples=rows(0),
    ),
    OpSpec(
        "silu",
        ref=lambda x: x * sigmoid(x),
        samples=(*rows(), sample(complexes(3))),
    ),
    OpSpec(
        "softplus",
        ref=softplus,
        samples=(*rows(), *rows(beta=2.0), sample(floats(4, avoid=(0.5,)), 2.0, 1.0), sample(FAR)),
    ),
    OpSpec("softsign", ref=lambda x: x / (1 + np.abs(x)), samples=rows(0)),
    OpSpec("tanhshrink", ref=lambda x: x - np.tanh(x), samples=rows()),
)
