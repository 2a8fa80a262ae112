"""Rows of `ops/pointwise_round.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    array,
    binary,
    complexes,
    elementwise,
    floats,
    sample,
)

WHOLE = (-2, -1, 0, 1, 2)
HALVES = (-1.5, -0.5, 0.5, 1.5)
ANY = elementwise(avoid=WHOLE)
NONZERO = elementwise(avoid=(0,), extra=(sample(complexes(3)),))
ODD = array([0.5, np.nan, np.inf, -np.inf, -0.0])


def sgn(x: np.ndarray) -> np.ndarray:
    """Return x / |x|, 0 at 0."""
    return np.where(x == 0, 0, x / np.where(x == 0, 1, np.abs(x)))


def replaced(x: np.ndarray, nan: float = 0.0, posinf: float | None = None) -> np.ndarray:
    """NumPy's nan_to_num."""
    return np.nan_to_num(x, nan=nan, posinf=posinf)


EXEMPT = dict.fromkeys(("abs_", "absolute_"), "in place: tests/ops/test_pointwise_round.py")

SPECS = (
    OpSpec("abs", ref=np.abs, samples=NONZERO, aliases=("absolute",), integers="same"),
    OpSpec("angle", ref=np.angle, samples=NONZERO, integers="float"),
    OpSpec("ceil", ref=np.ceil, samples=ANY, integers="same", bools="refused"),
    OpSpec("floor", ref=np.floor, samples=ANY, integers="same", bools="refused"),
    OpSpec("frac", ref=lambda x: x - np.trunc(x), samples=ANY, integers="refused"),
    OpSpec(
        "nan_to_num",
        ref=replaced,
        samples=(*elementwise(), sample(floats(3), nan=1.0, posinf=2.0)),
        integers="same",
    ),
    OpSpec(
        "nan_to_num",
        ref=replaced,
        samples=(sample(ODD, nan=1.0, posinf=2.0), sample(ODD)),
        skip={
            "gradcheck": "finite differences of infinity are NaN",
            "float32": "the limits of the dtype are part of the result",
            "0-d": "in the row above",
            "empty": "in the row above",
        },
    ),
    OpSpec(
        "nextafter",
        ref=np.nextafter,
        samples=binary(),
        skip={"float32": "the next number of another precision"},
    ),
    OpSpec(
        "round",
        ref=lambda x, decimals=0: np.round(x, decimals),
        samples=(
            *elementwise(),
            sample(floats(3, low=-200, high=200, avoid=(-155, -145, 145, 155)), decimals=-1),
            sample(array([0.5, 1.5, 2.5, -0.5, 1.237]), decimals=2),
        ),
        skip={"gradcheck": "steps lie too close together for finite differences"},
    ),
    OpSpec("round", ref=np.round, samples=elementwise(avoid=HALVES), integers="same"),
    OpSpec("sgn", ref=sgn, samples=NONZERO, integers="same"),
    OpSpec("sign", ref=np.sign, samples=elementwise(avoid=(0,)), integers="same"),
    OpSpec("trunc", ref=np.trunc, samples=ANY, aliases=("fix",), integers="same", bools="refused"),
)
