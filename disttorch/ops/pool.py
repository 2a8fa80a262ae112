"""Max pooling, and its gradient as gather and scatter by the position in each window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.op import Op, public
from disttorch.backends.window import Sizes, Window
from disttorch.ops.pool_check import Ints, Pooling, pooling
from disttorch.ops.shape import reshape, unsqueeze
from disttorch.tensor import Tensor

__all__ = [
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]

Array = Any


class MaxPool(Op):
    """Maximum of each window of x (N, C, *S); with `indices` also its position in the image."""

    torch_name = "MaxPool2DWithIndicesBackward0"
    non_differentiable_outputs = (1,)

    def forward(
        ctx, x: Array, window: Window, out_sizes: Sizes, indices: bool, trained: bool
    ) -> Any:
        y = ctx.backend.max_pool(x, window, out_sizes)
        ctx.sizes, ctx.window = tuple(x.shape[2:]), window
        if trained or indices:
            # Where the maxima are takes a byte each; keeping x and y instead would forbid the
            # in-place activation that often follows.
            ctx.which = ctx.backend.max_pool_taps(x, y, window)
        if indices:
            return y, ctx.backend.tap_indices(ctx.which, ctx.sizes, window)
        return y

    def backward(ctx, g: Any, *_: Any) -> Any:
        which = ctx.constant(ctx.which)
        return ctx.call(PoolScatter, g, which, sizes=ctx.sizes, window=ctx.window)


class PoolScatter(Op):
    """Each element of gy (N, C, *S') added at its window's tap `which`: (N, C, *sizes)."""

    def forward(ctx, gy: Array, which: Array, sizes: Sizes, window: Window) -> Array:
        ctx.which, ctx.window = which, window
        return ctx.backend.pool_scatter(gy, which, sizes, window)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PoolGather, g, ctx.constant(ctx.which), window=ctx.window), None


class PoolGather(Op):
    """The element of gx (N, C, *S) at each window's tap `which`."""

    def forward(ctx, gx: Array, which: Array, window: Window) -> Array:
        ctx.which, ctx.window, ctx.sizes = which, window, tuple(gx.shape[2:])
        return ctx.backend.pool_gather(gx, which, window)

    def backward(ctx, g: Any) -> Any:
        which = ctx.constant(ctx.which)
        return ctx.call(PoolScatter, g, which, sizes=ctx.sizes, window=ctx.window), None


def pool_images(input: Tensor, how: Pooling, indices: bool) -> Any:
    """Pool images with or without a batch dimension."""
    if input.dtype.name == "bool":
        raise NotImplementedError("\"max_pool2d\" not implemented for 'Bool'")
    batched = input.ndim == len(how.out_sizes) + 2
    x = input if batched else unsqueeze(input, 0)
    result = MaxPool.apply(
        x,
        window=how.window,
        out_sizes=how.out_sizes,
        indices=indices,
        trained=STATE.enabled and input.requires_grad,
    )
    if batched:
        return result
    if indices:
        return tuple(reshape(t, t.shape[1:]) for t in result)
    return reshape(result, result.shape[1:])


def _max_pool_of_rank(n: int, indices: bool) -> Callable[..., Any]:
    """Make ``max_pool{n}d`` or ``max_pool{n}d_with_indices``."""
    name = f"max_pool{n}d" + "_with_indices" * indices

    def max_pool(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
    ) -> Any:
        how = pooling(input, name, kernel_size, stride, padding, dilation, bool(ceil_mode))
        return pool_images(input, how, indices)

    max_pool.__name__ = max_pool.__qualname__ = name
    more = ", and its position in the flattened image (int64)" if indices else ""
    max_pool.__doc__ = (
        f"Return the maximum of each window of input ([N,] C, *S){more}; {n} spatial dimension(s)."
        "\n\nRuntimeError if the window does not fit the image."
    )
    return public(function=not indices or n == 1)(max_pool)


max_pool1d, max_pool2d, max_pool3d = (_max_pool_of_rank(n, indices=False) for n in (1, 2, 3))
max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (
    _max_pool_of_rank(n, indices=True) for n in (1, 2, 3)
)
