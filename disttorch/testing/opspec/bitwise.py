"""Rows of `ops/bitwise.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, Values, binary, bools, ints, sample


def shifts(*shape: int) -> Values:
    """Distances to shift by."""
    return ints(*shape, low=0, high=5)


PAIRS = binary(ints, numbers=(3,), extra=(sample(bools(3), bools(3)), sample(bools(2), ints(2))))
SHIFTS = binary(ints, shifts, numbers=(2,), extra=(sample(1, shifts(3)),))

SPECS = (
    OpSpec("bitwise_and", ref=np.bitwise_and, samples=PAIRS),
    OpSpec("bitwise_left_shift", ref=np.left_shift, samples=SHIFTS),
    OpSpec(
        "bitwise_not",
        ref=np.invert,
        samples=(*(sample(ints(*s)) for s in [(), (3,), (2, 0)]), sample(bools(3))),
    ),
    OpSpec("bitwise_or", ref=np.bitwise_or, samples=PAIRS),
    OpSpec("bitwise_right_shift", ref=np.right_shift, samples=SHIFTS),
    OpSpec("bitwise_xor", ref=np.bitwise_xor, samples=PAIRS),
)
