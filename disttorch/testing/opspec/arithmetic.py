"""Rows of `ops/arithmetic.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    Values,
    array,
    binary,
    complexes,
    elementwise,
    floats,
    ints,
    sample,
)


def nonzero(*shape: int) -> Values:
    """Floats away from 0."""
    return floats(*shape, avoid=(0.0,))


def positive(*shape: int) -> Values:
    """Floats above 0.3."""
    return floats(*shape, low=0.3)


def divided(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    """Return x / y, rounded as asked."""
    if rounding_mode is None:
        return np.true_divide(x, y)
    return np.floor(np.true_divide(x, y)) if rounding_mode == "floor" else np.trunc(x / y)


NUMBERS = (2, -1.5)
COMPLEX = (sample(complexes(3), complexes(3)), sample(complexes(2), floats(2)))
ALPHA = (sample(floats(3), floats(3), alpha=2), sample(floats(3), floats(3), alpha=-0.5))

SPECS = (
    OpSpec(
        "add",
        ref=lambda x, y, alpha=1: x + alpha * y,
        samples=binary(numbers=NUMBERS, extra=(*COMPLEX, *ALPHA)),
        integers="same",
        skip={"bools": "the next row: NumPy multiplies bools by alpha to int64"},
    ),
    OpSpec("add", ref=np.add, samples=binary(), integers="same", bools="same"),
    OpSpec(
        "sub",
        ref=lambda x, y, alpha=1: x - alpha * y,
        samples=binary(numbers=NUMBERS, extra=(*COMPLEX, *ALPHA)),
        aliases=("subtract",),
        integers="same",
        bools="refused",
    ),
    OpSpec(
        "rsub",
        ref=lambda x, y, alpha=1: y - alpha * x,
        samples=binary(numbers=NUMBERS, extra=ALPHA),
        integers="same",
        bools="refused",
    ),
    OpSpec(
        "mul",
        ref=np.multiply,
        samples=binary(numbers=NUMBERS, extra=COMPLEX),
        aliases=("multiply",),
        integers="same",
        bools="same",
    ),
    OpSpec(
        "div",
        ref=divided,
        samples=binary(
            nonzero,
            numbers=NUMBERS,
            extra=(
                *COMPLEX,
                sample(floats(3), array([1.5, -0.7, 0.4]), rounding_mode="trunc"),
                sample(floats(3), array([1.5, -0.7, 0.4]), rounding_mode="floor"),
                sample(ints(4), array([2, -3, 3, -2], "int64"), rounding_mode="floor"),
                sample(ints(4), array([2, -3, 3, -2], "int64"), rounding_mode="trunc"),
            ),
        ),
        aliases=("divide",),
        skip={"forward": "rounded integers: the reference is floating"},
    ),
    OpSpec("div", ref=np.true_divide, samples=binary(nonzero, numbers=(2,)), integers="float"),
    OpSpec("true_divide", ref=np.true_divide, samples=binary(nonzero), integers="float"),
    OpSpec(
        "neg",
        ref=np.negative,
        samples=elementwise(extra=(sample(complexes(2)),)),
        aliases=("negative",),
        integers="same",
        bools="refused",
    ),
    OpSpec(
        "positive",
        ref=np.positive,
        samples=elementwise(),
        integers="same",
        bools="refused",
        skip={"gradcheck": "returns its input: there is no operation"},
    ),
    OpSpec(
        "pow",
        ref=np.power,
        samples=binary(
            positive,
            floats,
            numbers=(2, 3, 0.5, -1, -2, 0, 1.7),
            extra=(
                sample(floats(3), 3),
                sample(2.5, floats(3)),
                sample(ints(4), 2),
                sample(complexes(3), 2),
                sample(complexes(3), complexes(3)),
            ),
        ),
    ),
    OpSpec(
        "pow",
        ref=np.power,
        samples=(sample(array([0.0, 2.0, 0.0]), array([2.0, 0.0, 0.0])), sample(array([0.0]), 0)),
        skip={
            "gradcheck": "0 ** y is infinite left of 0",
            "0-d": "in the row above",
            "empty": "in the row above",
        },
    ),
)
