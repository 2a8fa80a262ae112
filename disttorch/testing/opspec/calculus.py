"""Rows of `ops/calculus.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, floats, sample

_NO_0D = {"0-d": "needs a dimension to go along"}


def _diff(x: np.ndarray, n: int = 1, dim: int = -1, **ends: Any) -> np.ndarray:
    return np.diff(x, n, dim, **ends)


def _gradient(x: np.ndarray, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    spacings = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    return tuple(
        np.gradient(x, h, axis=d, edge_order=edge_order)
        for d, h in zip(dims, spacings, strict=True)
    )


def _trapezoid(y: np.ndarray, x: Any = None, dx: float = 1, dim: int = -1) -> np.ndarray:
    return np.asarray(np.trapezoid(y, x, dx, dim))


def _cumulative(y: np.ndarray, x: Any = None, dx: float = 1, dim: int = -1) -> np.ndarray:
    y = np.moveaxis(y, dim, -1)
    width = dx if x is None else np.diff(x)
    return np.moveaxis(np.cumsum((y[..., 1:] + y[..., :-1]) / 2 * width, -1), -1, dim)


_INTEGRALS = (
    *(sample(floats(*s)) for s in ((4,), (2, 3), (2, 0))),
    sample(floats(2, 3), dx=0.5, dim=0),
    sample(floats(2, 3), array([0.0, 0.5, 2.0])),
)

SPECS = (
    OpSpec(
        "diff",
        ref=_diff,
        samples=(
            *(sample(floats(*s)) for s in ((4,), (2, 3), (2, 0))),
            sample(floats(4, 3), 2, 0),
            sample(floats(2, 3), 5),
            sample(floats(2, 3), prepend=floats(2, 2), append=floats(2, 1)),
        ),
        integers="same",
        bools="same",
        skip=_NO_0D,
    ),
    OpSpec(
        "gradient",
        ref=_gradient,
        samples=(
            sample(floats(4, 3)),
            sample(floats(4, 3), spacing=0.5, dim=1, edge_order=2),
            sample(floats(4, 3), spacing=[0.5, 2.0]),
            *(
                sample(
                    floats(4, 3),
                    spacing=[array([0.0, 0.5, 2.0, 2.3]), array([1.0, 1.2, 3.0])],
                    edge_order=order,
                )
                for order in (1, 2)
            ),
        ),
        skip={**_NO_0D, "empty": "nothing to differentiate"},
    ),
    OpSpec("trapezoid", ref=_trapezoid, samples=_INTEGRALS, skip=_NO_0D, aliases=("trapz",)),
    OpSpec("cumulative_trapezoid", ref=_cumulative, samples=_INTEGRALS, skip=_NO_0D),
)
