"""Rows of `ops/pointwise_gamma.py` and `ops/pointwise_bessel.py`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from disttorch.ops import MARKED
from disttorch.ops.create_fill import full_like
from disttorch.tensor import Tensor
from disttorch.testing.opspec.pointwise_special import each
from disttorch.testing.opspec.spec import OpSpec, elementwise, floats, sample


def lower_gamma(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The regularised lower incomplete gamma function, by its power series."""
    term = x**a * np.exp(-x) / each(math.gamma)(np.asarray(a) + 1)
    total = term
    for k in range(1, 80):
        term = term * x / (a + k)
        total = total + term
    return total


def _of_shape(name: str) -> Callable[[float, Tensor], Tensor]:
    """The operator with its first operand, which it has no derivative by, as a number."""
    return lambda a, x: MARKED[name](full_like(x.detach(), a), x)


_PAIRS = tuple(
    sample(shape, floats(*s, low=0.3, high=4))
    for shape, s in ((1.5, ()), (2.5, (3,)), (0.5, (2, 3)), (2.0, (2, 0)))
)

SPECS = (
    *(
        OpSpec(
            name,
            op=_of_shape(name),
            ref=ref,
            samples=_PAIRS,
        )
        for name, ref in (
            ("igamma", lower_gamma),
            ("igammac", lambda a, x: 1 - lower_gamma(a, x)),
        )
    ),
    OpSpec(
        "mvlgamma",
        ref=lambda x, p: (
            p * (p - 1) / 4 * math.log(math.pi)
            + sum(each(math.lgamma)(x - j / 2) for j in range(p))
        ),
        samples=(
            *(sample(floats(*s, low=1.3, high=4), 3) for s in ((), (3,), (2, 0))),
            sample(floats(2, 3, low=0.3, high=4), 1),
        ),
        integers="float",
    ),
    OpSpec("i0", ref=np.i0, samples=elementwise(-3, 3), integers="float", bools="float"),
)
