"""Rows of `ops/arithmetic_power.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, binary, elementwise, floats, ints, sample


def _positive(*shape: int) -> Any:
    return floats(*shape, low=0.2)


EXEMPT = {"float_power_": "in place: tests/ops/test_arithmetic_power.py"}

SPECS = (
    OpSpec(
        "float_power",
        ref=np.float_power,
        samples=binary(_positive, floats, numbers=(2, 0.5), extra=(sample(2.0, floats(3)),)),
        integers="float64",
        skip={
            "float32": "always in double precision",
            "integers": "negative powers of integers are fractions",
        },
    ),
    OpSpec(
        "ldexp",
        ref=lambda x, e: x * 2.0**e,
        samples=(*binary(), sample(floats(2, 3), ints(3))),
        rtol=1e-7,
    ),
    OpSpec(
        "frexp",
        ref=lambda x: (np.frexp(x)[0], np.frexp(x)[1].astype(np.int32)),
        samples=elementwise(0.1, 9, avoid=(0.125, 0.25, 0.5, 1, 2, 4, 8)),
    ),
)
