"""Rows of `ops/arithmetic_division.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, binary, distinct, floats, ints, sample

# Quotients stay away from whole numbers, where these functions jump.
PAIRS = binary(distinct, lambda *s: floats(*s, low=7.0, high=7.5), numbers=(6.5,))
SIGNS = (
    sample(array([7.0, -7, 7, -7]), array([3.0, 3, -3, -3])),
    sample(array([7, -7, 7, -7, 6], "int64"), array([3, 3, -3, -3, 3], "int64")),
    sample(ints(3), 3),
)

SPECS = (
    OpSpec("floor_divide", ref=np.floor_divide, samples=(*PAIRS, *SIGNS)),
    OpSpec("fmod", ref=np.fmod, samples=(*PAIRS, *SIGNS)),
    OpSpec("remainder", ref=np.remainder, samples=(*PAIRS, *SIGNS, sample(7.5, floats(3, low=2)))),
)
