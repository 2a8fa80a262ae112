"""Rows of `ops/reduce_extreme.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.reduce import numpy_style, over_dims
from disttorch.testing.opspec.spec import OpSpec, array, distinct, ints, sample


def not_empty(samples: Any) -> tuple[Any, ...]:
    """Extremes of nothing do not exist, but an empty set of extremes does."""
    return tuple(s for s in samples if 0 not in s.values()[0].shape)


NAN = array([[1.0, np.nan, 3.0], [2.0, 0.5, 0.7]])
EMPTY = (sample(distinct(0, 3), 1), sample(distinct(2, 0, 3), 2, True))
ALONG = (*not_empty(over_dims(distinct, many=False)), *EMPTY, sample(ints(2, 3), 0))
PAIRS = (sample(distinct(2, 3), array([0.05, 0.06, 0.07])),)
DIMS = (*not_empty(over_dims(distinct)), *EMPTY)


def along(
    value: Callable[..., Any], index: Callable[..., Any], pair: Callable[..., Any]
) -> Callable[..., Any]:
    """Give max or min in its three forms."""

    def reference(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, np.ndarray):
            return pair(x, dim)
        if dim is None:
            return value(x)
        if not x.ndim:
            return x, np.zeros((), np.int64)
        return value(x, axis=dim, keepdims=keepdim), index(x, axis=dim, keepdims=keepdim)

    return reference


def row_by_row(choose: Callable[[np.ndarray], int]) -> Callable[..., Any]:
    """A reference from a function that finds the index in one row."""

    def reference(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            flat = x.reshape(-1)
            return flat[choose(flat)]
        if not x.ndim:
            return x, np.zeros((), np.int64)
        rows = np.moveaxis(x, dim, -1)
        found = np.array([choose(r) for r in rows.reshape(-1, rows.shape[-1])], np.int64)
        index = np.expand_dims(found.reshape(rows.shape[:-1]), dim)
        values = np.take_along_axis(x, index, dim)
        return (values, index) if keepdim else (values.squeeze(dim), index.squeeze(dim))

    return reference


def median_of(row: np.ndarray) -> int:
    """Index of the lower median, or of the first NaN."""
    if np.isnan(row).any():
        return int(np.isnan(row).argmax())
    return int(np.argsort(row, kind="stable")[(len(row) - 1) // 2])


def nanmedian_of(row: np.ndarray) -> int:
    """Index of the lower median of what is not NaN."""
    known = np.count_nonzero(~np.isnan(row))
    return int(np.argsort(row, kind="stable")[(known - 1) // 2])


def mode_of(row: np.ndarray) -> int:
    """Last index of the smallest of the most frequent elements."""
    counts = Counter(row.tolist())
    best = min(v for v, n in counts.items() if n == max(counts.values()))
    return int(np.flatnonzero(row == best)[-1])


def smallest_and_largest(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
    """Minimum and maximum."""
    return numpy_style(np.min)(x, dim, keepdim), numpy_style(np.max)(x, dim, keepdim)


SPECS = (
    OpSpec("amax", ref=numpy_style(np.max), samples=DIMS, integers="same"),
    OpSpec("amin", ref=numpy_style(np.min), samples=DIMS, integers="same"),
    OpSpec(
        "aminmax",
        ref=smallest_and_largest,
        samples=(
            *(sample(distinct(*s)) for s in [(), (3,)]),
            sample(distinct(2, 3), dim=1, keepdim=True),
            sample(distinct(0, 3), dim=1),
        ),
    ),
    OpSpec("argmax", ref=numpy_style(np.argmax), samples=(*ALONG, sample(NAN, 1))),
    OpSpec("argmin", ref=numpy_style(np.argmin), samples=(*ALONG, sample(NAN, 1))),
    OpSpec("max", ref=along(np.max, np.argmax, np.maximum), samples=(*ALONG, *PAIRS)),
    OpSpec("median", ref=row_by_row(median_of), samples=ALONG),
    OpSpec("min", ref=along(np.min, np.argmin, np.minimum), samples=(*ALONG, *PAIRS)),
    OpSpec(
        "mode",
        ref=lambda x, dim=-1, keepdim=False: row_by_row(mode_of)(x, dim, keepdim),
        samples=(
            *ALONG,
            sample(array([[3, 1, 3, 1, 2], [5, 4, 4, 4, 5]], "int64"), 1),
            sample(array([[3, 1], [3, 2], [1, 2]], "int64"), 0, True),
        ),
    ),
    OpSpec("nanmedian", ref=row_by_row(nanmedian_of), samples=ALONG),
    *(
        OpSpec(
            name,
            ref=reference,
            samples=(sample(NAN, 1),),
            skip={"gradcheck": "NaN", "0-d": "in the row above", "empty": "in the row above"},
        )
        for name, reference in (
            ("max", along(np.max, np.argmax, np.maximum)),
            ("median", row_by_row(median_of)),
            ("min", along(np.min, np.argmin, np.minimum)),
            ("nanmedian", row_by_row(nanmedian_of)),
        )
    ),
)
