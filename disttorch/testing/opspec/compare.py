"""Rows of `ops/compare.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    array,
    binary,
    bools,
    elementwise,
    floats,
    ints,
    sample,
)

PAIRS = binary(
    numbers=(0, 0.5),
    extra=(
        sample(ints(2, 3), ints(2, 3)),
        sample(ints(3), floats(3)),
        sample(bools(3), bools(3)),
        sample(array([1.0, np.nan]), array([1.0, np.nan])),
    ),
)
ODD = array([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf])
TESTED = elementwise(extra=(sample(ODD), sample(ints(3)), sample(bools(3))))
CLOSE = (
    sample(floats(), floats()),
    sample(array([1.0, 1.0, np.nan, np.inf]), array([1.0 + 1e-6, 1.1, np.nan, np.inf])),
    sample(array([1.0, np.nan]), array([1.05, np.nan]), rtol=0.1, atol=0.0, equal_nan=True),
    sample(floats(2, 0), floats(2, 0)),
    sample(array([1, 2], "int64"), array([1, 3], "int64")),
)
LOGICAL = binary(ints, extra=(sample(bools(3), floats(3)),))


def always(value: bool) -> Callable[[Any], np.ndarray]:
    """A reference that is the same everywhere."""
    return lambda x: np.full(np.shape(x), value)


SPECS = (
    OpSpec("allclose", ref=np.allclose, samples=CLOSE),
    OpSpec("eq", ref=np.equal, samples=PAIRS, integers="bool", bools="bool"),
    OpSpec(
        "equal",
        ref=np.array_equal,
        samples=(
            sample(floats(), floats()),
            sample(ints(3), ints(4)),
            sample(floats(2, 0), floats(2, 0)),
            sample(array([1.0, 2.0]), array([1, 2], "int64")),
        ),
    ),
    OpSpec("ge", ref=np.greater_equal, samples=PAIRS, aliases=("greater_equal",), integers="bool"),
    OpSpec("gt", ref=np.greater, samples=PAIRS, aliases=("greater",), integers="bool"),
    OpSpec("isclose", ref=np.isclose, samples=CLOSE),
    OpSpec("isfinite", ref=np.isfinite, samples=TESTED),
    OpSpec("isinf", ref=np.isinf, samples=TESTED),
    OpSpec("isnan", ref=np.isnan, samples=TESTED),
    OpSpec("isneginf", ref=lambda x: x == -np.inf, samples=TESTED),
    OpSpec("isposinf", ref=lambda x: x == np.inf, samples=TESTED),
    OpSpec("isreal", ref=np.isreal, samples=TESTED),
    OpSpec("le", ref=np.less_equal, samples=PAIRS, aliases=("less_equal",), integers="bool"),
    OpSpec("logical_and", ref=np.logical_and, samples=LOGICAL),
    OpSpec("logical_not", ref=np.logical_not, samples=TESTED),
    OpSpec("logical_or", ref=np.logical_or, samples=LOGICAL),
    OpSpec("logical_xor", ref=np.logical_xor, samples=LOGICAL),
    OpSpec("lt", ref=np.less, samples=PAIRS, aliases=("less",), integers="bool"),
    OpSpec("ne", ref=np.not_equal, samples=PAIRS, aliases=("not_equal",), integers="bool"),
    OpSpec("signbit", ref=np.signbit, samples=TESTED[:-2]),
)
