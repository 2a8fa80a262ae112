"""Undoing max pooling, and pooling over windows at random places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from disttorch.autograd.op import Op
from disttorch.backends.window import Sizes
from disttorch.ops.pool_adaptive import PlaneGather, PlaneScatter
from disttorch.tensor import Tensor

Array = Any


class MaxUnpool(Op):
    """Each element of x (N, C, *S') put at its position `index`, zeros elsewhere: (N, C, *sizes).

    Of several elements for one place the last one stays, and all get its gradient.
    """

    torch_name = "MaxUnpool2DBackward0"

    def forward(ctx, x: Array, index: Array, sizes: Sizes) -> Array:
        ctx.index = index
        n_planes = x.shape[0] * x.shape[1]
        y = ctx.xp.zeros((n_planes, _count(sizes)), x.dtype)
        planes = ctx.xp.arange(n_planes)[:, None]
        n = _count(x.shape[2:])
        y[planes, index.reshape(n_planes, n)] = x.reshape(n_planes, n)
        return y.reshape(*x.shape[:2], *sizes)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PlaneGather, g, ctx.constant(ctx.index)), None


def _count(sizes: Sizes) -> int:
    n = 1
    for size in sizes:
        n *= size
    return n


def max_unpool(input: Tensor, indices: Tensor, sizes: Sizes) -> Tensor:
    """Put each element of input (N, C, *S') at its index in an image of `sizes`.

    RuntimeError for indices outside the image.
    """
    outside = input.backend.first_outside(indices._array, 0, _count(sizes))
    if outside is not None:
        shape = "x".join(str(n) for n in sizes)
        raise RuntimeError(
            f"Found an invalid max index: {outside} (output volumes are of size {shape})"
        )
    return MaxUnpool.apply(input, indices, sizes=sizes)


class FractionalMaxPool(Op):
    """Maximum of windows of x (N, C, *S) that start at `starts`, and its position in the image.

    `starts` has an array (N, C, outputs) for each spatial dimension.
    """

    torch_name = "FractionalMaxPool2DBackward0"
    non_differentiable_outputs = (1,)

    def forward(ctx, x: Array, starts: Sequence[Array], kernel: Sizes) -> tuple[Array, Array]:
        xp, ctx.sizes = ctx.xp, tuple(x.shape[2:])
        flat = x.reshape(*x.shape[:2], _count(ctx.sizes))
        out = tuple(s.shape[2] for s in starts)
        best = index = None
        for tap in product(*(range(k) for k in kernel)):
            at = _flat_index(starts, tap, ctx.sizes).reshape(*x.shape[:2], _count(out))
            values = xp.take_along_axis(flat, at, 2)
            if best is None:
                best, index = values, at
                continue
            better = (values > best) | xp.isnan(values)
            best, index = xp.where(better, values, best), xp.where(better, at, index)
        ctx.index = index.reshape(*x.shape[:2], *out)  # type: ignore[union-attr]
        return best.reshape(ctx.index.shape), ctx.index  # type: ignore[union-attr]

    def backward(ctx, g: Any, *_: Any) -> Any:
        return ctx.call(PlaneScatter, g, ctx.constant(ctx.index), sizes=ctx.sizes)


def _flat_index(starts: Sequence[Array], tap: Sizes, sizes: Sizes) -> Array:
    """Positions in the flattened image of one tap of all windows: (N, C, *outputs)."""
    n_dims = len(sizes)
    total: Any = 0
    for dim, (start, offset, size) in enumerate(zip(starts, tap, sizes, strict=True)):
        shape = (*start.shape[:2], *(start.shape[2] if d == dim else 1 for d in range(n_dims)))
        total = total * size + (start + offset).reshape(shape)
    return total


def window_starts(samples: Array, n: int, n_out: int, kernel: int, xp: Any) -> Array:
    """Where `n_out` windows start in a length `n`, shifted by `samples` (N, C): (N, C, n_out)."""
    starts = xp.full((*samples.shape, n_out), n - kernel, "int64")
    if n_out > 1:
        step = samples.dtype.type(n - kernel) / samples.dtype.type(n_out - 1)
        order = xp.arange(n_out - 1).astype(samples.dtype)
        moved = xp.trunc((order + samples[..., None]) * step)
        starts[..., :-1] = (moved - xp.trunc(samples * step)[..., None]).astype("int64")
    return starts
