"""Rows of `ops/activation.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, elementwise, floats, sample


def rows(*avoid: float, **kwargs: Any) -> Any:
    """The usual samples over [-5, 8), away from kinks."""
    return elementwise(-5, 8, avoid=avoid, **kwargs)


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """(x + 3) / 6 within [0, 1]."""
    return np.clip(x + 3, 0, 6) / 6


def shrunk(x: np.ndarray, lambd: float = 0.5) -> np.ndarray:
    """Moved toward 0 by lambd, 0 within."""
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


def prelu(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Weights along dimension 1."""
    return np.where(x > 0, x, x * (w.reshape(-1, *[1] * (x.ndim - 2)) if w.size > 1 else w.sum()))


SPECS = (
    OpSpec(
        "hardshrink",
        ref=lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0),
        samples=rows(-0.5, 0.5),
    ),
    OpSpec("hardsigmoid", ref=hard_sigmoid, samples=rows(-3, 3)),
    OpSpec("hardswish", ref=lambda x: x * hard_sigmoid(x), samples=rows(-3, 3)),
    OpSpec(
        "hardtanh",
        ref=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        samples=(*rows(-1, 1), *rows(-2, 0.5, min_val=-2.0, max_val=0.5)),
    ),
    OpSpec(
        "leaky_relu",
        ref=lambda x, slope=0.01: np.where(x > 0, x, slope * x),
        samples=(
            *rows(0),
            *(sample(floats(4, avoid=(0,)), slope) for slope in (0.3, 0.0, -0.5, 1.5)),
        ),
    ),
    OpSpec(
        "prelu",
        ref=prelu,
        samples=(
            sample(floats(avoid=(0,)), floats()),
            sample(floats(4, avoid=(0,)), array([0.3])),
            sample(floats(2, 3, avoid=(0,)), floats(3)),
            sample(floats(2, 3, 2, avoid=(0,)), floats(3)),
            sample(floats(0, 3), floats(3)),
        ),
    ),
    OpSpec(
        "relu", ref=lambda x: np.maximum(x, 0), samples=rows(0), integers="same", bools="refused"
    ),
    OpSpec("relu6", ref=lambda x: np.clip(x, 0, 6), samples=rows(0, 6), bools="refused"),
    OpSpec("softshrink", ref=shrunk, samples=(*rows(-0.5, 0.5), *rows(-1.5, 1.5, lambd=1.5))),
    OpSpec(
        "threshold",
        ref=lambda x, threshold, value: np.where(x > threshold, x, value),
        samples=rows(0.5, threshold=0.5, value=-3.0),
    ),
)
