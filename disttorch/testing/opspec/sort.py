"""Rows of `ops/sort*.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.shape import NO_0D
from disttorch.testing.opspec.spec import OpSpec, array, distinct, floats, ints, sample


def _sort(x: np.ndarray, dim: int = -1, descending: bool = False) -> tuple[Any, Any]:
    if not x.ndim:
        return x, np.zeros((), np.int64)
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def _topk(x: np.ndarray, k: int, dim: int = -1, largest: bool = True) -> tuple[Any, Any]:
    if not x.ndim:
        return x, np.zeros((), np.int64)
    values, indices = _sort(x, dim, largest)
    return np.take(values, range(k), dim), np.take(indices, range(k), dim)


def _kthvalue(x: np.ndarray, k: int, dim: int = -1) -> tuple[Any, Any]:
    if not x.ndim:
        return x, np.zeros((), np.int64)
    values, indices = _sort(x, dim)
    return np.take(values, k - 1, dim), np.take(indices, k - 1, dim)


_SAMPLES = (
    *(sample(distinct(*s)) for s in ((), (4,), (2, 3), (2, 0))),
    sample(distinct(3, 4), 0),
    sample(distinct(3, 4), -1, True),
)
_K = (*(sample(distinct(*s), 1) for s in ((), (4,), (0, 3))), sample(distinct(3, 4), 2, 0))

SPECS = (
    OpSpec("sort", ref=_sort, samples=_SAMPLES, integers=None),
    OpSpec("argsort", ref=lambda *args: _sort(*args)[1], samples=_SAMPLES),
    OpSpec(
        "msort",
        ref=lambda x: np.sort(x, 0),
        samples=tuple(sample(distinct(*s)) for s in ((4,), (3, 2), (2, 0))),
        skip=NO_0D,
    ),
    OpSpec("topk", ref=_topk, samples=(*_K, sample(distinct(3, 4), 2, -1, False))),
    OpSpec("kthvalue", ref=_kthvalue, samples=_K),
    OpSpec(
        "unique", ref=np.unique, samples=tuple(sample(ints(*s)) for s in ((), (6,), (2, 3), (0,)))
    ),
    OpSpec(
        "unique_consecutive",
        ref=lambda x: x[np.flatnonzero(np.diff(x, prepend=x[:1] - 1))],
        samples=(sample(ints(8, low=0, high=2)), sample(ints(0))),
        skip=NO_0D,
    ),
    OpSpec(
        "searchsorted",
        ref=np.searchsorted,
        samples=(
            sample(array([1, 3, 5]), floats(2, 3)),
            sample(array([1, 3, 5]), floats()),
            sample(array([1, 3, 5]), floats(0)),
        ),
    ),
    OpSpec(
        "bucketize",
        ref=lambda x, edges: np.searchsorted(edges, x),
        samples=(
            sample(floats(2, 3), array([-1, 0, 1])),
            sample(floats(), array([0.0])),
            sample(floats(0), array([0.0])),
        ),
    ),
    OpSpec(
        "isin",
        ref=np.isin,
        samples=(sample(ints(5), ints(3)), sample(ints(), ints(3)), sample(ints(0), ints(3))),
    ),
)
