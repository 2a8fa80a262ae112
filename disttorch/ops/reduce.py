"""Reductions: sum, mean and their relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import int64
from disttorch.ops.cast import cast
from disttorch.tensor import Tensor

__all__ = ["sum"]

Array = Any
Dims = int | Sequence[int] | None


def normalized_dims(input: Tensor, dim: Dims) -> tuple[int, ...]:
    """Return the dimensions to reduce, non-negative; all for None or an empty sequence.

    Raises IndexError for one out of range and RuntimeError for one given twice.
    """
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(input.ndim))
    dims = tuple(input._dim(d) for d in ((dim,) if isinstance(dim, int) else dim))
    if len(set(dims)) != len(dims):
        twice = next(d for d in dims if dims.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return dims if input.ndim else ()


def restore_dims(F: Any, reduced: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """Give a reduced array its reduced dimensions back, with length 1."""
    if keepdim:
        return reduced
    for d in sorted(dims):
        reduced = F.unsqueeze(reduced, d)
    return reduced


class Sum(Op):
    """Sum over dims."""

    torch_name = "SumBackward1"

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.shape, ctx.dim, ctx.keepdim = x.shape, dim, keepdim
        return ctx.xp.sum(x, axis=dim, keepdims=keepdim, dtype=x.dtype)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.expand(restore_dims(ctx.F, g, ctx.dim, ctx.keepdim), ctx.shape)


@public(method=True)
def sum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype | None = None
) -> Tensor:
    """Sum of all elements or over `dim`; integers and bools sum to int64."""
    if dtype is None and input._array.dtype.kind in "iub":
        dtype = int64
    if dtype is not None:
        input = cast(input, dtype)
    return Sum.apply(input, dim=normalized_dims(input, dim), keepdim=keepdim)
