"""Rows of `ops/shape_sizes.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, sample


def _summed(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    lead = x.ndim - len(size)
    stretched = [d for d in range(x.ndim) if d < lead or (size[d - lead] == 1 and x.shape[d] != 1)]
    return np.asarray(x.sum(tuple(stretched), keepdims=True)).reshape(size)


_SAME_SIZE = (
    sample(floats(2, 3), floats(6)),
    sample(floats(), floats(1)),
    sample(floats(0, 2), floats(2, 0)),
)

SPECS = (
    OpSpec(
        "sum_to_size",
        ref=_summed,
        samples=(
            sample(floats(2, 3), (1, 3)),
            sample(floats(2, 3), (3,)),
            sample(floats(), ()),
            sample(floats(2, 0), (1, 0)),
        ),
    ),
    OpSpec("resize_as", ref=lambda x, y: x.reshape(y.shape), samples=_SAME_SIZE),
    OpSpec(
        "resize",
        ref=lambda x, *size: x.reshape(size),
        samples=(
            sample(floats(2, 3), 3, 2),
            sample(floats(), 1),
            sample(floats(0, 2), 0),
        ),
    ),
)
EXEMPT = {"broadcast_shapes": "takes sizes, no tensors (tests/ops/test_shape_sizes.py)"}
