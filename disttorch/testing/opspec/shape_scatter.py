"""Rows of `ops/shape_scatter.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, sample

_NO_0D = {"0-d": "needs dimensions"}


def _written(region: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A reference: `src` written to the region of a copy."""

    def reference(x: np.ndarray, src: np.ndarray, *args: Any) -> np.ndarray:
        out = x.copy(order="C")
        region(out, *args)[...] = src
        return out

    return reference


def _diagonal(x: np.ndarray, offset: int = 0) -> np.ndarray:
    view = np.diagonal(x, offset).view()
    view.flags.writeable = True
    return view


def _strided(x: np.ndarray, size: Any, stride: Any) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(x, size, [s * x.itemsize for s in stride])


SPECS = (
    OpSpec(
        "select_scatter",
        ref=_written(lambda x, dim, i: np.moveaxis(x, dim, 0)[i]),
        samples=(
            sample(floats(2, 3), floats(3), 0, 1),
            sample(floats(2, 3), floats(2), 1, -1),
            sample(floats(2, 0), floats(0), 0, 0),
        ),
        skip=_NO_0D,
    ),
    OpSpec(
        "slice_scatter",
        ref=_written(lambda x, dim, start, end, step: np.moveaxis(x, dim, 0)[start:end:step]),
        samples=(
            sample(floats(4, 3), floats(2, 3), 0, 1, 3, 1),
            sample(floats(4, 3), floats(2, 3), 0, None, None, 2),
            sample(floats(4, 0), floats(1, 0), 0, -1, 9, 1),
        ),
        skip=_NO_0D,
    ),
    OpSpec(
        "diagonal_scatter",
        ref=_written(_diagonal),
        samples=(
            sample(floats(3, 3), floats(3)),
            sample(floats(3, 4), floats(3), 1),
            sample(floats(0, 3), floats(0)),
        ),
        skip=_NO_0D,
    ),
    OpSpec(
        "as_strided_scatter",
        ref=_written(_strided),
        samples=(
            sample(floats(6), floats(2, 2), (2, 2), (2, 1)),
            sample(floats(), floats(), (), ()),
        ),
        skip={
            "empty": "needs elements",
            "strided": "sees the memory, not the elements",
            "fake": "sees the memory",
            "fake_grad": "sees the memory",
        },
    ),
)
EXEMPT = {"fill_diagonal_": "in place only (tests/ops/test_shape_scatter.py)"}
