"""Rows of `ops/index*.py`; the forms of ``x[index]`` are in tests/ops/test_index.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.shape import NO_0D
from disttorch.testing.opspec.spec import OpSpec, array, bools, floats, ints, sample


def places(*values: Any) -> Any:
    """An int64 index tensor with these values."""
    return array(values[0] if len(values) == 1 else list(values), "int64")


def _slot(x: np.ndarray, dim: int, index: np.ndarray) -> tuple[Any, ...]:
    return (*(slice(None),) * (dim % x.ndim), index)


def _index_add(x: Any, dim: int, index: Any, y: Any, alpha: float = 1) -> np.ndarray:
    out = x.copy()
    np.add.at(out, _slot(x, dim, index), alpha * y)
    return out


def _index_put(x: Any, dim: int, index: Any, y: Any) -> np.ndarray:
    out = x.copy()
    out[_slot(x, dim, index)] = y
    return out


def _full(index: np.ndarray, dim: int) -> tuple[Any, ...]:
    key = list(np.indices(index.shape))
    key[dim] = index
    return tuple(key)


def _corner(y: np.ndarray, index: np.ndarray) -> np.ndarray:
    return y[tuple(slice(n) for n in index.shape)]


def _gather(x: Any, dim: int, index: Any) -> np.ndarray:
    return x[_full(index, dim)] if x.ndim else x


def _scatter(x: Any, dim: int, index: Any, y: Any) -> np.ndarray:
    out = x.copy()
    out[_full(index, dim)] = _corner(y, index) if np.ndim(y) else y
    return out


def _scatter_at(ufunc: np.ufunc) -> Any:
    def reduce(x: Any, dim: int, index: Any, y: Any, how: str = "") -> np.ndarray:
        out = x.copy()
        ufunc.at(out, _full(index, dim), _corner(y, index))
        return out

    return reduce


_REDUCED = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _scatter_reduce(x: Any, dim: int, index: Any, y: Any, how: str) -> np.ndarray:
    return _scatter_at(_REDUCED[how])(x, dim, index, y)


def _put(x: Any, index: Any, y: Any, accumulate: bool = False) -> np.ndarray:
    out = x.copy()
    if accumulate:
        np.add.at(out.reshape(-1), index, y)
    else:
        out.reshape(-1)[index] = y
    return out


def _masked_scatter(x: Any, mask: Any, y: Any) -> np.ndarray:
    out = x.copy()
    out[mask] = y.reshape(-1)[: mask.sum()]
    return out


_INDEX = places([[0, 1], [1, 0]])
_MASK = array([[True, False, True], [False, True, False]], "bool")

DIMS = (
    OpSpec(
        "index_select",
        ref=lambda x, dim, index: np.take(x, index, dim),
        samples=(
            sample(floats(3, 2), 0, places(2, 0, 2)),
            sample(floats(2, 3), -1, places(1, 1)),
            sample(floats(0, 2), 1, places([1])),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "index_add",
        ref=_index_add,
        samples=(
            sample(floats(3, 2), 0, places(2, 0, 2), floats(3, 2)),
            sample(floats(2, 3), 1, places(1, 1), floats(2, 2), alpha=-2),
            sample(floats(0, 2), 1, places([1]), floats(0, 1)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "index_copy",
        ref=_index_put,
        samples=(
            sample(floats(3, 2), 0, places(2, 0), floats(2, 2)),
            sample(floats(0, 2), 1, places([1]), floats(0, 1)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "index_fill",
        ref=_index_put,
        samples=(
            sample(floats(3, 2), 0, places(2, 2), 1.5),
            sample(floats(3, 2), 1, places([1]), floats()),
            sample(floats(0, 2), 1, places([1]), 1.5),
        ),
    ),
    OpSpec(
        "take",
        ref=np.take,
        samples=(
            sample(floats(2, 3), places([[0, -1], [5, 0]])),
            sample(floats(), array(0, "int64")),
            sample(floats(2), array([], "int64")),
        ),
    ),
    OpSpec(
        "put",
        ref=_put,
        samples=(
            sample(floats(2, 3), places(5, 1), floats(2)),
            sample(floats(2, 3), places(1, 1), floats(2), True),
            sample(floats(2), array([], "int64"), floats(0)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "index_put",
        ref=lambda x, index, y, accumulate=False: _put(x, index[0], y, accumulate),
        samples=(
            sample(floats(4), (places(3, 1),), floats(2)),
            sample(floats(4), (places(1, 1),), floats(2), True),
            sample(floats(4), (array([], "int64"),), floats()),
        ),
    ),
)

FULL = (
    OpSpec(
        "gather",
        ref=_gather,
        samples=(
            sample(floats(3, 2), 0, places([[2, 0], [2, 1]])),
            sample(floats(2, 3), 1, places([[2]])),
            sample(floats(), 0, array(0, "int64")),
            sample(floats(2, 0), 0, array(np.zeros((1, 0)), "int64")),
        ),
    ),
    OpSpec(
        "take_along_dim",
        ref=np.take_along_axis,
        samples=(
            sample(floats(2, 3), places([[2, 0], [2, 1]]), 1),
            sample(floats(2, 0), array(np.zeros((1, 0)), "int64"), 0),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "scatter",
        ref=_scatter,
        samples=(
            sample(floats(2, 3), 0, _INDEX, floats(2, 2)),
            sample(floats(2, 3), 0, _INDEX, floats(3, 3)),
            sample(floats(2, 3), 1, _INDEX, 1.5),
            sample(floats(2, 0), 0, array(np.zeros((1, 0)), "int64"), floats(2, 0)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "scatter_add",
        ref=_scatter_at(np.add),
        samples=(
            sample(floats(2, 3), 1, _INDEX, floats(2, 3)),
            sample(floats(3, 2), 0, places([[1, 1], [1, 2]]), floats(2, 2)),
            sample(floats(2, 0), 0, array(np.zeros((1, 0)), "int64"), floats(2, 0)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "scatter_reduce",
        ref=_scatter_reduce,
        samples=(
            *(
                sample(floats(2, 3, low=0.5), 1, _INDEX, floats(2, 3, low=0.5), how)
                for how in _REDUCED
            ),
            sample(floats(2, 0), 0, array(np.zeros((1, 0)), "int64"), floats(2, 0), "amax"),
        ),
        skip=NO_0D,
    ),
)

MASKS = (
    OpSpec(
        "masked_fill",
        ref=lambda x, mask, y: np.where(mask, y, x),
        samples=(
            sample(floats(2, 3), _MASK, 1.5),
            sample(floats(2, 3), bools(3), floats()),
            sample(floats(), bools(), 2),
            sample(floats(2, 0), bools(2, 0), 2),
        ),
    ),
    OpSpec(
        "masked_select",
        ref=lambda x, mask: np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))[
            np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
        ],
        samples=(
            sample(floats(2, 3), _MASK),
            sample(floats(3), _MASK),
            sample(floats(), bools()),
            sample(floats(0), bools(0)),
        ),
    ),
    OpSpec(
        "masked_scatter",
        ref=_masked_scatter,
        samples=(
            sample(floats(2, 3), _MASK, floats(4)),
            sample(floats(2, 0), bools(2, 0), floats(1)),
        ),
        skip=NO_0D,
    ),
    OpSpec(
        "nonzero",
        ref=lambda x: np.stack(np.nonzero(x), 1) if x.ndim else np.zeros((int(x != 0), 0), int),
        samples=(sample(ints(2, 3)), sample(ints()), sample(ints(0, 2))),
        aliases=("argwhere",),
    ),
)

SPECS = (*DIMS, *FULL, *MASKS)

_IN_PLACE = (
    *("index_add_", "index_copy_", "index_fill_", "index_put_", "masked_fill_"),
    *("masked_scatter_", "put_", "scatter_", "scatter_add_", "scatter_reduce_"),
)
EXEMPT = {
    **dict.fromkeys(("__getitem__", "__setitem__"), "tests/ops/test_index.py"),
    **dict.fromkeys(_IN_PLACE, "equal the rows' operators (tests/ops/test_index_dim.py)"),
}
