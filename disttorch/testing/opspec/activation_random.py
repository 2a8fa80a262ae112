"""Rows of `ops/activation_random.py`: without training nothing is random."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, elementwise

EXEMPT = {"rrelu_": "in place: tests/ops/test_activation_random.py"}

SPECS = (
    OpSpec(
        "rrelu",
        ref=lambda x, lower, upper: np.where(x > 0, x, x * (lower + upper) / 2),
        samples=elementwise(avoid=(0,), lower=0.1, upper=0.4),
    ),
)
