"""Adaptive pooling: windows that cut an image of any size into a grid of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends.window import Sizes, Window
from disttorch.ops.pool import pool_images
from disttorch.ops.pool_average import AvgPool, counts
from disttorch.ops.pool_check import Pooling
from disttorch.ops.shape import reshape, unsqueeze
from disttorch.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]

Array = Any
Bounds = list[tuple[int, int]]
OutputSize = int | None | Sequence[int | None]


def bounds(n: int, n_out: int) -> Bounds:
    """Return start and end of each of `n_out` windows that together cover a length `n`."""
    return [(o * n // n_out, -((-(o + 1) * n) // n_out)) for o in range(n_out)]


class AdaptiveAvgPool(Op):
    """Average of each cell of x (N, C, *S), where cells differ in size: (N, C, *out_sizes)."""

    torch_name = "AdaptiveAvgPool2DBackward0"

    def forward(ctx, x: Array, out_sizes: Sizes) -> Array:
        ctx.sizes = tuple(x.shape[2:])
        for dim, n_out in enumerate(out_sizes):
            axis, lead = dim + 2, (slice(None),) * (dim + 2)
            cells = [
                x[(*lead, slice(a, b))].mean(axis, keepdims=True)
                for a, b in bounds(x.shape[axis], n_out)
            ]
            x = ctx.xp.concatenate(cells, axis)
        return x

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AdaptiveAvgPoolGrad, g, sizes=ctx.sizes)


class AdaptiveAvgPoolGrad(Op):
    """Each element of gy (N, C, *S') spread evenly over its cell: (N, C, *sizes)."""

    def forward(ctx, gy: Array, sizes: Sizes) -> Array:
        ctx.out_sizes = tuple(gy.shape[2:])
        cells = [bounds(n, n_out) for n, n_out in zip(sizes, ctx.out_sizes, strict=True)]
        extents = tuple(tuple(b - a for a, b in dim) for dim in cells)
        gy = gy / counts(ctx.backend, extents, gy.dtype)
        for dim, n in enumerate(sizes):
            axis, lead = dim + 2, (slice(None),) * (dim + 2)
            gx = ctx.xp.zeros((*gy.shape[:axis], n, *gy.shape[axis + 1 :]), gy.dtype)
            for o, (a, b) in enumerate(cells[dim]):
                gx[(*lead, slice(a, b))] += gy[(*lead, slice(o, o + 1))]
            gy = gx
        return gy

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AdaptiveAvgPool, g, out_sizes=ctx.out_sizes)


class AdaptiveMaxPool(Op):
    """Maximum of each cell of x (N, C, *S) and its position in the flattened image."""

    torch_name = "AdaptiveMaxPool2DBackward0"
    non_differentiable_outputs = (1,)

    def forward(ctx, x: Array, out_sizes: Sizes) -> Any:
        xp, sizes = ctx.xp, tuple(x.shape[2:])
        y = xp.empty((*x.shape[:2], *out_sizes), x.dtype)
        index = xp.empty(y.shape, "int64")
        flat_number = xp.arange(math.prod(sizes)).reshape(sizes)
        per_dim = [enumerate(bounds(n, m)) for n, m in zip(sizes, out_sizes, strict=True)]
        for cell in product(*per_dim):
            at = (..., *(o for o, _ in cell))
            region = tuple(slice(a, b) for _, (a, b) in cell)
            numbers = flat_number[region].reshape(-1)
            values = x[(..., *region)].reshape(*x.shape[:2], numbers.size)
            best = values.argmax(-1)
            y[at] = xp.take_along_axis(values, best[..., None], -1)[..., 0]
            index[at] = numbers[best]
        ctx.index, ctx.sizes = index, sizes
        return y, index

    def backward(ctx, g: Any, *_: Any) -> Any:
        return ctx.call(PlaneScatter, g, ctx.constant(ctx.index), sizes=ctx.sizes)


class PlaneScatter(Op):
    """Each element of gy (N, C, *S') added at its position `index`: (N, C, *sizes)."""

    def forward(ctx, gy: Array, index: Array, sizes: Sizes) -> Array:
        ctx.index = index
        gx = ctx.xp.zeros((*gy.shape[:2], *sizes), gy.dtype)
        n_planes = gy.shape[0] * gy.shape[1]
        planes = ctx.xp.arange(n_planes)[:, None]
        n, n_out = math.prod(sizes), math.prod(index.shape[2:])
        where = (planes, index.reshape(n_planes, n_out))
        flat = gx.reshape(n_planes, n)
        ctx.backend.scatter_add(flat, where, gy.reshape(n_planes, n_out))
        return flat.reshape(gx.shape)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PlaneGather, g, ctx.constant(ctx.index)), None


class PlaneGather(Op):
    """The elements of gx (N, C, *S) at the positions `index` (N, C, *S')."""

    def forward(ctx, gx: Array, index: Array) -> Array:
        ctx.index, ctx.sizes = index, tuple(gx.shape[2:])
        lead = gx.shape[:2]
        flat = gx.reshape(*lead, math.prod(ctx.sizes))
        picked = ctx.xp.take_along_axis(flat, index.reshape(*lead, math.prod(index.shape[2:])), -1)
        return picked.reshape(index.shape)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PlaneScatter, g, ctx.constant(ctx.index), sizes=ctx.sizes), None


def _grid(input: Tensor, output_size: OutputSize, n: int, kind: str) -> Sizes:
    """Check the arguments, return the spatial sizes of the output."""
    function = f"adaptive_{kind}_pool{n}d"
    if input.ndim not in (n + 1, n + 2):
        if n == 1:
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {function})"
            )
        if input.ndim <= n and not isinstance(output_size, int):
            raise ValueError(f"Input dimension should be at least {n + 1}")
        colon = ":" if kind == "max" else ""
        raise RuntimeError(
            f"{function}(): Expected {n + 1}D or {n + 2}D tensor, but got{colon} "
            f"{list(input.shape)}"
        )
    given = (
        (output_size,) * n
        if output_size is None or isinstance(output_size, int)
        else (tuple(output_size) * (n if len(output_size) == 1 else 1))
    )
    if len(given) != n:
        if n == 1:
            raise RuntimeError(
                f"{function}() argument 'output_size' should contain one int (got {len(given)})"
            )
        if kind == "max":
            raise RuntimeError(f"{function}(): internal error: output_size.size() must be {n}")
        raise RuntimeError(f"{function}: output_size must be {n}")
    sizes = input.shape[-n:]
    out = tuple(s if o is None else int(o) for o, s in zip(given, sizes, strict=True))
    for dim in range(input.ndim - n, input.ndim):
        if input.shape[dim] == 0:
            raise RuntimeError(
                f"{function}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(input.shape)} with dimension {dim} being empty"
            )
    if min(out) < 0:
        _refuse_negative(input, out, function, kind)
    return out


def _refuse_negative(input: Tensor, out: Sizes, function: str, kind: str) -> None:
    """PyTorch's errors for negative sizes; one dimension counts as a row of an image."""
    n = len(out)
    if kind == "max":
        negative = next(o for o in out if o < 0)
        lead = list(input.shape[: input.ndim - n]) + [1] * (n == 1)
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {negative}: {[*lead, *out]}"
        )
    name = function.replace("1d", "2d")
    shown = ", ".join(str(o) for o in ((1, *out) if n == 1 else out[:2]))
    shown += f",{out[2]}" if n == 3 else ""
    raise RuntimeError(
        f"{name}: elements of output_size must be greater than or equal to 0 but received "
        f"{{{shown}}}"
    )


def _even(sizes: Sequence[int], out: Sizes) -> Pooling | None:
    """Ordinary pooling that does the same, if all cells are of one size."""
    if any(o == 0 or n % o for n, o in zip(sizes, out, strict=True)):
        return None
    kernel = tuple(n // o for n, o in zip(sizes, out, strict=True))
    n_dims = len(out)
    return Pooling(Window(kernel, kernel, (0,) * n_dims, (1,) * n_dims), out)


def _adaptive_avg_pool_of_rank(n: int) -> Callable[..., Tensor]:
    """Make ``adaptive_avg_pool{n}d``."""

    def adaptive_avg_pool(input: Tensor, output_size: OutputSize) -> Tensor:
        out = _grid(input, output_size, n, "avg")
        batched = input.ndim == n + 2
        x = input if batched else unsqueeze(input, 0)
        even = _even(x.shape[2:], out)
        if even is None:
            y = (
                AdaptiveAvgPool.apply(x, out_sizes=out)
                if 0 not in out
                else x.new_empty((*x.shape[:2], *out))
            )
        else:
            window = even.window
            y = AvgPool.apply(x, window=window, out_sizes=out, divisor=window.n_taps)
        return y if batched else reshape(y, y.shape[1:])

    adaptive_avg_pool.__name__ = adaptive_avg_pool.__qualname__ = f"adaptive_avg_pool{n}d"
    adaptive_avg_pool.__doc__ = (
        f"Average input ([N,] C, *S) over a grid of `output_size` cells, {n}-d; None keeps a size."
    )
    return public(function=n == 1)(adaptive_avg_pool)


def _adaptive_max_pool_of_rank(n: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make ``adaptive_max_pool{n}d``."""

    def adaptive_max_pool(input: Tensor, output_size: OutputSize) -> tuple[Tensor, Tensor]:
        out = _grid(input, output_size, n, "max")
        even = _even(input.shape[-n:], out)
        if even is not None:
            return pool_images(input, even, indices=True)
        batched = input.ndim == n + 2
        y, index = AdaptiveMaxPool.apply(input if batched else unsqueeze(input, 0), out_sizes=out)
        if batched:
            return y, index
        return reshape(y, y.shape[1:]), reshape(index, index.shape[1:])

    adaptive_max_pool.__name__ = adaptive_max_pool.__qualname__ = f"adaptive_max_pool{n}d"
    adaptive_max_pool.__doc__ = (
        f"Maximum of input ([N,] C, *S) over a grid of `output_size` cells, {n}-d, and its "
        "position.\n\nPositions count in the flattened image, int64; None keeps a size."
    )
    return public(function=n == 1)(adaptive_max_pool)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive_avg_pool_of_rank(n) for n in (1, 2, 3)
)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _adaptive_max_pool_of_rank(n) for n in (1, 2, 3)
)
