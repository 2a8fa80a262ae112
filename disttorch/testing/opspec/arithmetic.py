"""Rows of `ops/arithmetic.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, binary, elementwise

SPECS = (
    OpSpec("add", ref=np.add, samples=binary(numbers=(2, 1.5)), integers="same", bools="same"),
    OpSpec("neg", ref=np.negative, samples=elementwise(), integers="same", bools="refused"),
)
