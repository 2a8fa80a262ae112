"""Rows of `ops/embedding.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, ints, sample


def _one_hot(index: np.ndarray, num_classes: int = -1) -> np.ndarray:
    n = int(index.max()) + 1 if num_classes == -1 else num_classes
    return (index[..., None] == np.arange(n)).astype(np.int64)


SPECS = (
    OpSpec(
        "embedding",
        ref=lambda w, index, *_: w[index],
        samples=(
            sample(floats(4, 3), ints(2, 3, low=0, high=4)),
            sample(floats(4, 2), ints(low=0, high=4)),
            sample(floats(4, 2), ints(5, low=0, high=4, dtype="int32")),
            sample(floats(4, 2), ints(0)),
        ),
    ),
    OpSpec(
        "one_hot",
        ref=_one_hot,
        samples=(
            sample(ints(2, 3, low=0, high=4)),
            sample(ints(low=0, high=4), 5),
            sample(ints(0), 3),
        ),
    ),
)
