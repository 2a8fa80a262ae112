"""Rows of `ops/reduce_spread.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, complexes, floats, sample

SAMPLES = (
    sample(floats(4)),
    sample(floats(2, 3)),
    sample(floats(2, 3), 1),
    sample(floats(2, 3), 0, False),
    sample(floats(2, 3), (0, 1), True, True),
    sample(floats(2, 3, 2), dim=(0, 2), correction=0),
    sample(floats(2, 3), False),
    sample(floats(), correction=0),
    sample(floats(0, 3), 1),
    sample(complexes(4)),
)
# The deviation of equal elements has no derivative.
ROOT = tuple(s for s in SAMPLES if s.values()[0].shape != ())


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's var or std with PyTorch's arguments."""

    def reference(
        x: np.ndarray,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        correction: int | None = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = int(unbiased) if correction is None else correction
        return function(x, axis=dim, ddof=ddof, keepdims=keepdim)

    return reference


def with_mean(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same with the mean."""

    def reference(x: np.ndarray, dim: Any = None, *args: Any, **keywords: Any) -> Any:
        keepdim = keywords.get("keepdim", args[1] if len(args) > 1 else False)
        axis = None if isinstance(dim, bool) else dim
        mean = np.mean(x, axis=axis, keepdims=keepdim)
        return spread(function)(x, dim, *args, **keywords), mean

    return reference


NO_POINT = {"0-d": "one element has no deviation"}

SPECS = (
    OpSpec("std", ref=spread(np.std), samples=ROOT, integers="refused", skip=NO_POINT),
    OpSpec("std_mean", ref=with_mean(np.std), samples=ROOT, skip=NO_POINT),
    OpSpec("var", ref=spread(np.var), samples=SAMPLES, integers="refused", bools="refused"),
    OpSpec("var_mean", ref=with_mean(np.var), samples=SAMPLES),
)
