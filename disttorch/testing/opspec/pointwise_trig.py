"""Rows of `ops/pointwise_trig.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, binary, complexes, elementwise, floats, sample

ANY = elementwise(extra=(sample(complexes(3)),))
INSIDE = elementwise(low=-0.9, high=0.9, extra=(sample(complexes(3)),))
BOTH = {"integers": "float", "bools": "float"}

SPECS = (
    OpSpec("acos", ref=np.arccos, samples=INSIDE, aliases=("arccos",), **BOTH),
    OpSpec("acosh", ref=np.arccosh, samples=elementwise(1.2, 3), aliases=("arccosh",), **BOTH),
    OpSpec("asin", ref=np.arcsin, samples=INSIDE, aliases=("arcsin",), **BOTH),
    OpSpec("asinh", ref=np.arcsinh, samples=ANY, aliases=("arcsinh",), **BOTH),
    OpSpec("atan", ref=np.arctan, samples=INSIDE, aliases=("arctan",), **BOTH),
    OpSpec(
        "atan2",
        ref=np.arctan2,
        samples=binary(lambda *s: floats(*s, avoid=(0,))),
        aliases=("arctan2",),
        **BOTH,
    ),
    OpSpec("atanh", ref=np.arctanh, samples=INSIDE, aliases=("arctanh",), **BOTH),
    OpSpec("cos", ref=np.cos, samples=ANY, **BOTH),
    OpSpec("cosh", ref=np.cosh, samples=ANY, **BOTH),
    OpSpec("deg2rad", ref=np.deg2rad, samples=elementwise(), **BOTH),
    OpSpec("hypot", ref=np.hypot, samples=binary(lambda *s: floats(*s, avoid=(0,)))),
    OpSpec("rad2deg", ref=np.rad2deg, samples=elementwise(), **BOTH),
    OpSpec("sin", ref=np.sin, samples=ANY, **BOTH),
    OpSpec("sinc", ref=np.sinc, samples=elementwise(avoid=(0,)), **BOTH),
    OpSpec("sinh", ref=np.sinh, samples=ANY, **BOTH),
    OpSpec("tan", ref=np.tan, samples=elementwise(-1, 1), **BOTH),
    OpSpec("tanh", ref=np.tanh, samples=ANY, **BOTH),
)
