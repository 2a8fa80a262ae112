"""Rows of `ops/pointwise.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, complexes, elementwise, sample

POSITIVE = elementwise(low=0.2, high=3.0, extra=(sample(complexes(3)),))
ANY = elementwise(extra=(sample(complexes(3)),))
NONZERO = elementwise(avoid=(0.0,), extra=(sample(complexes(3)),))

SPECS = (
    OpSpec("exp", ref=np.exp, samples=ANY, integers="float", bools="float"),
    OpSpec("exp2", ref=lambda x: 2.0**x, samples=elementwise(), integers="float", bools="float"),
    OpSpec("expm1", ref=np.expm1, samples=ANY, integers="float", bools="float"),
    OpSpec("log", ref=np.log, samples=POSITIVE, integers="float", bools="float"),
    OpSpec("log10", ref=np.log10, samples=POSITIVE, integers="float", bools="float"),
    OpSpec("log1p", ref=np.log1p, samples=POSITIVE, integers="float", bools="float"),
    OpSpec("log2", ref=np.log2, samples=POSITIVE, integers="float", bools="float"),
    OpSpec("reciprocal", ref=lambda x: 1.0 / x, samples=NONZERO, integers="float", bools="float"),
    OpSpec(
        "rsqrt", ref=lambda x: 1.0 / np.sqrt(x), samples=POSITIVE, integers="float", bools="float"
    ),
    OpSpec("sqrt", ref=np.sqrt, samples=POSITIVE, integers="float", bools="float"),
    OpSpec("square", ref=np.square, samples=ANY, integers="same"),
)
