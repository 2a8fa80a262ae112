"""Distinct values and places in an order: unique, searchsorted, bucketize, isin."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import public
from disttorch.backends import Backend
from disttorch.ops.create import scalar_tensor
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import strict_dim
from disttorch.tensor import Tensor

__all__ = ["bucketize", "isin", "searchsorted", "unique", "unique_consecutive"]

Array = Any


def _results(values: Array, inverse: Array | None, counts: Array | None) -> Any:
    """One tensor, or a tuple with what was asked for."""
    found = tuple(Tensor._wrap(a) for a in (values, inverse, counts) if a is not None)
    return found if len(found) > 1 else found[0]


@public(method=True)
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Distinct elements (of `dim`: distinct slices) in ascending order, int64 places and counts."""
    xp, x = input.backend.xp, input._array
    axis = None if dim is None else strict_dim(input, dim)
    if x.dtype.kind == "V":
        x = x.astype("float32")
    values, inverse, counts = xp.unique(
        x, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(x.shape if axis is None else (-1,))
    values = values.astype(input._array.dtype, copy=False)
    return _results(values, inverse if return_inverse else None, counts if return_counts else None)


@public(method=True)
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Elements (of `dim`: slices) that differ from the one before, int64 places and counts."""
    xp, x = input.backend.xp, input._array
    slices = x.reshape(-1) if dim is None else xp.moveaxis(x, strict_dim(input, dim), 0)
    n = slices.shape[0]
    changed = xp.ones(n, "bool")
    if n:
        differs = slices[1:] != slices[:-1]
        changed[1:] = differs.reshape(n - 1, -1).any(axis=1) if n > 1 else differs.reshape(-1)
    values = slices[changed]
    if dim is not None:
        values = xp.moveaxis(values, 0, input._dim(dim))
    inverse = (xp.cumsum(changed) - 1).reshape(x.shape if dim is None else (-1,))
    starts = xp.nonzero(changed)[0]
    counts = xp.diff(xp.concatenate([starts, xp.asarray([n])]))
    return _results(
        xp.ascontiguousarray(values),
        inverse if return_inverse else None,
        counts if return_counts else None,
    )


@public()
@accepts_out
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where values would go in a sorted last dimension: first place, or last with `right`.

    `sorted_sequence` is 1-D, or has the leading dimensions of `input`; otherwise RuntimeError.
    """
    edges, backend = sorted_sequence._array, sorted_sequence.backend
    if not isinstance(input, Tensor):
        input = scalar_tensor(input, dtype=sorted_sequence.dtype, device=sorted_sequence.device)
    values = input._array
    if edges.ndim != 1 and edges.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(edges.shape)} and input value tensor {list(values.shape)}"
        )
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    if sorter is not None:
        edges = backend.xp.take_along_axis(edges, sorter._array, -1)
    places = _places(backend, edges, values, "right" if right or side == "right" else "left")
    return Tensor._wrap(places.astype("int32" if out_int32 else "int64", copy=False))


def _places(backend: Backend, edges: Array, values: Array, side: str) -> Array:
    xp = backend.xp
    if not values.size or not edges.size:
        return xp.zeros(values.shape, "int64")
    if edges.ndim == 1:
        return backend.asarray(xp.searchsorted(edges, values, side=side))
    out = xp.empty(values.shape, "int64")
    rows = out.reshape(-1, values.shape[-1])
    table = zip(
        edges.reshape(-1, edges.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True
    )
    for i, (row, wanted) in enumerate(table):
        rows[i] = xp.searchsorted(row, wanted, side=side)
    return out


@public()
@accepts_out
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """Number of the bucket between sorted 1-D boundaries that each value falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@public()
@accepts_out
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element is among the test elements; either may be a number."""
    like = elements if isinstance(elements, Tensor) else test_elements
    a, b = (x._array if isinstance(x, Tensor) else x for x in (elements, test_elements))
    found = like.backend.xp.isin(a, b, assume_unique=assume_unique, invert=invert)
    return Tensor._wrap(like.backend.asarray(found))
