"""Rows of `ops/index_reduce.py` and `ops/index_flat.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, distinct, floats, ints, sample


def _reduced(
    x: np.ndarray, dim: int, index: np.ndarray, source: np.ndarray, reduce: str
) -> np.ndarray:
    out = np.atleast_1d(x).copy()
    rows, slices = np.moveaxis(out, dim, 0), np.moveaxis(np.atleast_1d(source), dim, 0)
    times = np.ones(rows.shape[0])
    for place, values in zip(np.atleast_1d(index), slices, strict=True):
        combine = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum, "mean": np.add}
        rows[place] = combine[reduce](rows[place], values)
        times[place] += 1
    if reduce == "mean":
        rows /= times.reshape(-1, *(1,) * (rows.ndim - 1))
    return out.reshape(x.shape)


def _nonzero_static(x: np.ndarray, size: int) -> np.ndarray:
    found = np.argwhere(np.atleast_1d(x))[:, : x.ndim][:size]
    out = np.full((size, x.ndim), -1)
    out[: len(found)] = found
    return out


SPECS = (
    OpSpec(
        "index_reduce",
        ref=_reduced,
        samples=(
            *(
                sample(distinct(3, 2), 0, array([0, 2, 0], "int64"), distinct(3, 2), how)
                for how in ("prod", "mean", "amax", "amin")
            ),
            sample(floats(2, 3), 1, array([1], "int64"), floats(2, 1), "prod"),
            sample(floats(), 0, array([0], "int64"), floats(), "mean"),
            sample(floats(3, 0), 0, array([1], "int64"), floats(1, 0), "amax"),
        ),
    ),
    OpSpec(
        "unravel_index",
        ref=np.unravel_index,
        samples=(
            sample(ints(3, low=0, high=6), (2, 3)),
            sample(ints(low=0, high=6), (2, 3)),
            sample(ints(0), (2, 3)),
        ),
    ),
    OpSpec(
        "nonzero_static",
        ref=_nonzero_static,
        samples=(
            sample(ints(5, low=0, high=2), size=4),
            sample(ints(2, 3, low=0, high=2), size=2),
            sample(ints(low=1, high=2), size=1),
            sample(ints(2, 0), size=1),
        ),
    ),
)
EXEMPT = {"index_reduce_": "the in-place form of a row (tests/ops/test_index_reduce.py)"}
