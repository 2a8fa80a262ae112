"""Rows of `ops/dropout.py`: where nothing is random. Masks are compared in tests/ops."""

from __future__ import annotations

import numpy as np

from disttorch.ops.dropout import Masked
from disttorch.testing.opspec.spec import OpSpec, bools, floats, sample

_IDENTITY = (
    *(sample(floats(*shape), 0.5, False) for shape in ((), (2, 3), (2, 0))),
    sample(floats(2, 3), 0.0, True),
)
_ZERO = (sample(floats(2, 3), 1.0, True), sample(floats(), 1.0, True), sample(floats(0), 1.0, True))

# The in-place forms change their input, which is what the table holds against an operator.
EXEMPT = {
    name: "in place: tests/ops/test_dropout.py"
    for name in ("dropout_", "feature_dropout_", "alpha_dropout_", "feature_alpha_dropout_")
}

SPECS = (
    *(
        OpSpec(name, ref=lambda x, p, train: x * 1.0, samples=_IDENTITY)
        for name in ("feature_dropout", "alpha_dropout", "feature_alpha_dropout")
    ),
    OpSpec(
        "dropout",
        ref=lambda x, p, train: x * (p != 1.0 or not train),
        samples=(*_IDENTITY, *_ZERO),
    ),
    OpSpec(
        "dropout_masked",
        op=lambda x, mask, scale: Masked.apply(x, mask, scale=scale),
        ref=lambda x, mask, scale: np.where(mask, x * scale, 0),
        samples=(
            sample(floats(2, 3), bools(2, 3), 2.0),
            sample(floats(2, 3, 2), bools(2, 3, 1), 1.25),
            sample(floats(), bools(), 2.0),
            sample(floats(0, 2), bools(0, 2), 2.0),
        ),
    ),
)
