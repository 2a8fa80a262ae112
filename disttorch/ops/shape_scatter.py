"""Copies of a tensor with a part replaced: select_scatter, slice_scatter, diagonal_scatter..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.inplace import ZeroRegion, memory_order_of
from disttorch.autograd.op import Op, public
from disttorch.ops.fitted import fitted
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_region import (
    AsStrided,
    BasicIndex,
    Diagonal,
    as_strided,
    diagonal,
    memory_for,
    select,
    strided_in,
)
from disttorch.tensor import Tensor

__all__ = [
    *("as_strided_scatter", "diagonal_scatter", "fill_diagonal_", "select_scatter"),
    "slice_scatter",
]

Array = Any


class ReplaceView(Op):
    """x with y in the region that a view op leads to, in x's memory order."""

    def forward(ctx, x: Array, y: Array, view: type[Op], params: dict[str, Any]) -> Array:
        ctx.view_op, ctx.params, ctx.order = view, params, memory_order_of(x)
        inverse = sorted(range(x.ndim), key=ctx.order.__getitem__)
        out = x.transpose(ctx.order).copy(order="C").transpose(inverse)
        region = view.run(ctx.backend, out, **params)
        _check_fits(region, y)
        region[...] = y
        return out

    def backward(ctx, g: Any) -> Any:
        steps = ((ctx.view_op, ctx.params),)
        gx = ctx.call(ZeroRegion, g, steps=steps, order=ctx.order) if ctx.needs_grad(0) else None
        return gx, ctx.call(ctx.view_op, g, **ctx.params) if ctx.needs_grad(1) else None


class SelectScatter(ReplaceView):
    """x with y at one position of a dimension."""


class SliceScatter(ReplaceView):
    """x with y at a range of positions of a dimension."""


class DiagonalScatter(ReplaceView):
    """x with y on a diagonal."""


class AsStridedScatter(Op):
    """x with y in a strided part of its memory; the result has x's strides."""

    def forward(ctx, x: Array, y: Array, size: Any, stride: Any, shift: int, layout: Any) -> Array:
        ctx.params = {"size": size, "stride": stride, "shift": shift, "layout": layout}
        low, memory = memory_for(ctx.xp, x.dtype, layout, (size, stride), shift)
        out = strided_in(ctx.backend, memory, *layout, -low)
        out[...] = x
        region = strided_in(ctx.backend, memory, size, stride, shift - low)
        _check_fits(region, y)
        region[...] = y
        return out

    def backward(ctx, g: Any) -> Any:
        gy = ctx.call(AsStrided, g, **ctx.params) if ctx.needs_grad(1) else None
        if not ctx.needs_grad(0):
            return None, gy
        size, stride, shift, layout = ctx.params.values()
        low, memory = memory_for(ctx.xp, "bool", layout, (size, stride), shift)
        strided_in(ctx.backend, memory, size, stride, shift - low)[...] = True
        written = ctx.constant(strided_in(ctx.backend, memory, *layout, -low))
        return ctx.F.where(written, ctx.F.zeros_like(g), g), gy


def _check_fits(region: Array, source: Array) -> None:
    if region.shape != source.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(source.shape)}, slice size = {list(region.shape)}"
        )


@public(method=True)
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """Return a copy with `src` at position `index` of `dim`; RuntimeError if it does not fit."""
    d = input._dim(dim)
    select(input, dim, index)  # for its checks
    place = (*(slice(None),) * d, index, Ellipsis)
    return SelectScatter.apply(input, src, view=BasicIndex, params={"index": place})


@public(method=True)
@accepts_out
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """Return a copy with `src` at positions `start` to `end` of `dim`, `step` apart."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    d = input._dim(dim)
    first, last, _ = slice(start, end).indices(input._array.shape[d])
    place = (*(slice(None),) * d, slice(first, max(first, last), step), Ellipsis)
    return SliceScatter.apply(input, src, view=BasicIndex, params={"index": place})


@public(method=True)
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """Return a copy with `src` on the diagonal of two dimensions."""
    diagonal(input, offset, dim1, dim2)  # for its checks
    params = {"offset": offset, "dim1": input._dim(dim1), "dim2": input._dim(dim2)}
    return DiagonalScatter.apply(input, src, view=Diagonal, params=params)


@public(method=True)
def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """Return a copy with `src` in the part of the memory that `size` and `stride` describe."""
    as_strided(input, size, stride, storage_offset)  # for its checks
    own = input.storage_offset()
    params = {
        "size": tuple(size),
        "stride": tuple(stride),
        "shift": 0 if storage_offset is None else storage_offset - own,
        "layout": (input._array.shape, input.stride()),
    }
    return AsStridedScatter.apply(input, src, **params)


@public(method=True, function=False)
def fill_diagonal_(input: Tensor, fill_value: Any, wrap: Any = False) -> Tensor:
    """Write a number to the main diagonal in place; `wrap` starts anew below a tall matrix.

    Raises RuntimeError below 2-D and for more dimensions that are not all of one length.
    """
    shape = input._array.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    number = fitted(fill_value, input.dtype)
    n, width = min(shape), sum(input.stride())
    as_strided(input, (n,), (width,)).fill_(number)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        below = input[shape[1] + 1 :]
        fill_diagonal_(below, number, wrap=True) if below.shape[0] > 1 else below[0, 0].fill_(
            number
        )
    return input
