"""Rows of `ops/pointwise_bounds.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    array,
    binary,
    bools,
    distinct,
    elementwise,
    floats,
    sample,
)

PAIRS = binary(distinct, lambda *s: floats(*s, low=0.05, high=0.1))
POSITIVE = binary(lambda *s: floats(*s, avoid=(0,)), lambda *s: floats(*s, low=0.5))
NAN = sample(array([1.0, np.nan, 3.0]), array([2.0, 2.0, np.nan]))
BOUNDS = (-1.0, 1.0)
ONE_BOUND = tuple(sample(*s.args, 0.5) for s in elementwise(avoid=(0.5,)))

SPECS = (
    OpSpec(
        "clamp",
        ref=np.clip,
        samples=(
            *elementwise(avoid=BOUNDS, min=-1.0, max=1.0),
            sample(floats(4, avoid=BOUNDS), min=-1.0, max=None),
            sample(floats(4, avoid=BOUNDS), None, 1.0),
            sample(distinct(2, 3), floats(3, low=-0.3, high=-0.25), floats(low=0.3, high=0.4)),
            sample(distinct(2, 3), None, floats(2, 1, low=0.1, high=0.15)),
        ),
        aliases=("clip",),
    ),
    OpSpec("clamp_max", ref=np.minimum, samples=ONE_BOUND),
    OpSpec("clamp_min", ref=np.maximum, samples=ONE_BOUND),
    OpSpec("copysign", ref=np.copysign, samples=POSITIVE),
    OpSpec("fmax", ref=np.fmax, samples=PAIRS, integers="same", bools="same"),
    OpSpec("fmin", ref=np.fmin, samples=PAIRS, integers="same", bools="same"),
    OpSpec("heaviside", ref=np.heaviside, samples=binary()),
    OpSpec("logaddexp", ref=np.logaddexp, samples=binary()),
    OpSpec("logaddexp2", ref=np.logaddexp2, samples=binary()),
    OpSpec("maximum", ref=np.maximum, samples=PAIRS, integers="same", bools="same"),
    OpSpec("minimum", ref=np.minimum, samples=PAIRS, integers="same", bools="same"),
    *(
        OpSpec(
            name,
            ref=getattr(np, name),
            samples=(NAN,),
            skip={"gradcheck": "NaN", "0-d": "in the row above", "empty": "in the row above"},
        )
        for name in ("fmax", "fmin", "maximum", "minimum")
    ),
    OpSpec(
        "where",
        ref=np.where,
        samples=(
            sample(bools(), floats(), floats()),
            sample(bools(2, 3), floats(2, 3), floats(3)),
            sample(bools(3), floats(2, 1), floats(2, 3)),
            sample(bools(3), floats(3), 1.5),
            sample(bools(3), 2.5, floats(3)),
            sample(bools(2, 0), floats(0), floats()),
        ),
    ),
    OpSpec(
        "where",
        ref=np.nonzero,
        samples=(sample(bools(2, 3)), sample(bools(0))),
        skip={"0-d": "NumPy has no nonzero of 0-d arrays"},
    ),
)
