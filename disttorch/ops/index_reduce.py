"""Slices reduced into positions of a dimension: index_reduce."""

from __future__ import annotations

from disttorch.ops.index_dim import check_slices, check_source, two_forms
from disttorch.ops.index_gather import scatter_reduce
from disttorch.ops.shape import expand, reshape
from disttorch.tensor import Tensor

__all__ = ["index_reduce", "index_reduce_"]

_REDUCTIONS = {"prod", "mean", "amax", "amin"}


def _index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    inplace: bool = False,
) -> Tensor:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    d = input._dim(dim)
    check_source(input, d, index, source, "index_reduce()")
    if input.ndim:
        check_slices(input, d, source)
    n = input._array.shape[d] if input.ndim else 1
    if input.backend.first_outside(index._array, 0, n) is not None:
        raise IndexError("index out of range in self")
    target = input if input.ndim else reshape(input, (1,))
    slices = source if source.ndim else reshape(source, (1,))
    column = reshape(index, (-1, *(1,) * (target.ndim - d - 1)))
    places = expand(column, slices.shape)
    result = scatter_reduce(target, d, places, slices, reduce, include_self=include_self)
    if not input.ndim:
        result = reshape(result, ())
    return input.copy_(result) if inplace else result


index_reduce, index_reduce_ = two_forms(
    "index_reduce",
    _index_reduce,
    "``(input, dim, index, source, reduce, *, include_self=True)``: reduce slices of `source` "
    "into positions of `dim`, with `reduce` prod, mean, amax or amin.",
)
