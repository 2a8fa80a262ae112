"""Rows of `ops/create*.py`: of those that take a tensor; the others make tensors from nothing."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.shape import NO_0D, calls
from disttorch.testing.opspec.spec import OpSpec, floats, sample

_MATRICES = (
    *calls((2, 3), (3, 3), (2, 0)),
    *calls((2, 3, 4), args=(1,)),
    *calls((3, 4), args=(-1,)),
)

SPECS = (
    *(
        OpSpec(
            name,
            ref=getattr(np, name),
            samples=_MATRICES,
            skip=NO_0D,
            integers="same",
            bools="same",
        )
        for name in ("tril", "triu")
    ),
    OpSpec(
        "meshgrid",
        ref=lambda *xs, indexing: tuple(np.meshgrid(*xs, indexing=indexing)),
        samples=tuple(
            sample(floats(*a), floats(*b), indexing=order)
            for a, b in (((2,), (3,)), ((0,), (2,)), ((), (2,)))
            for order in ("ij", "xy")
        ),
    ),
    OpSpec(
        "cartesian_prod",
        ref=lambda x, y: np.stack([np.repeat(x, y.size), np.tile(y, x.size)], 1),
        samples=(sample(floats(2), floats(3)), sample(floats(0), floats(2))),
        skip=NO_0D,
    ),
    OpSpec(
        "combinations",
        ref=lambda x: np.array([[a, b] for i, a in enumerate(x) for b in x[i + 1 :]]).reshape(
            -1, 2
        ),
        samples=calls((4,), (0,)),
        skip=NO_0D,
    ),
    *(
        OpSpec(
            f"{name}_like",
            ref=getattr(np, f"{name}_like"),
            samples=calls((), (2, 3), (2, 0)),
            integers="same",
            bools="same",
        )
        for name in ("zeros", "ones")
    ),
    OpSpec("full_like", ref=np.full_like, samples=calls((), (2, 3), (2, 0), args=(2.5,))),
    OpSpec(
        "fill",
        ref=np.full_like,
        samples=(*calls((2, 3), (2, 0), args=(2.5,)), sample(floats(), floats())),
    ),
)

_MADE = (
    *("arange", "as_tensor", "asarray", "empty", "empty_like", "empty_strided", "eye", "fill_"),
    *("full", "linspace", "logspace", "new_empty", "new_full", "new_ones", "new_tensor"),
    *("new_zeros", "ones", "range", "scalar_tensor", "tril_indices", "triu_indices", "zero_"),
    "zeros",
)
_RANDOM = (
    *("bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_"),
    *("log_normal_", "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randint"),
    *("randint_like", "randn", "randn_like", "random_", "randperm", "uniform_"),
)
EXEMPT = {
    **dict.fromkeys(_MADE, "makes a tensor from sizes or numbers (tests/ops/test_create*.py)"),
    **dict.fromkeys(_RANDOM, "random numbers (tests/ops/test_create_random.py)"),
}
