"""Average pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends.window import Sizes, Window
from disttorch.ops.out import accepts_out
from disttorch.ops.pool_check import Ints, Pooling, pooling
from disttorch.ops.shape import reshape, unsqueeze
from disttorch.tensor import Tensor

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d"]

Array = Any
Divisor = float | tuple[tuple[int, ...], ...]  # one for all, or a factor for each index a dim


class AvgPool(Op):
    """Sum of each window of x (N, C, *S) over `divisor`."""

    torch_name = "AvgPool2DBackward0"

    def forward(ctx, x: Array, window: Window, out_sizes: Sizes, divisor: Divisor) -> Array:
        ctx.window, ctx.sizes, ctx.divisor = window, tuple(x.shape[2:]), divisor
        y = ctx.backend.sum_pool(x, window, out_sizes)
        by = counts(ctx.backend, divisor, y.dtype)
        if y.dtype.kind not in "iu":
            return y / by
        return ctx.xp.trunc(y / by).astype(y.dtype)  # integers are divided as in C

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AvgPoolGrad, g, sizes=ctx.sizes, window=ctx.window, divisor=ctx.divisor)


class AvgPoolGrad(Op):
    """Each element of gy (N, C, *S') over `divisor`, added to its whole window."""

    def forward(ctx, gy: Array, sizes: Sizes, window: Window, divisor: Divisor) -> Array:
        ctx.window, ctx.out_sizes, ctx.divisor = window, tuple(gy.shape[2:]), divisor
        share = gy / counts(ctx.backend, divisor, gy.dtype)
        return ctx.backend.sum_pool_backward(share, sizes, window)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AvgPool, g, window=ctx.window, out_sizes=ctx.out_sizes, divisor=ctx.divisor)


def counts(backend: Any, divisor: Divisor, np_dtype: Any) -> Any:
    """Return the divisor as a number, or as an array (*S') of window sizes."""
    if not isinstance(divisor, tuple):
        return divisor
    product = backend.asarray(1, np_dtype)
    for dim, factors in enumerate(divisor):
        column = backend.asarray(factors, np_dtype)
        product = product * column.reshape(-1, *(1,) * (len(divisor) - dim - 1))
    return product


def _divisor(sizes: Sizes, how: Pooling, count_include_pad: bool) -> Divisor:
    """How many elements each window averages over."""
    factors = []
    w = how.window
    for n, n_out, k, s, p in zip(sizes, how.out_sizes, w.kernel, w.stride, w.padding, strict=True):
        starts = [o * s - p for o in range(n_out)]
        ends = [min(start + k, n + p) for start in starts]
        if not count_include_pad:
            starts, ends = [max(0, a) for a in starts], [min(b, n) for b in ends]
        factors.append(tuple(b - a for a, b in zip(starts, ends, strict=True)))
    if all(len(set(f)) == 1 for f in factors):
        total = 1
        for f in factors:
            total *= f[0]
        return total
    return tuple(factors)


def _avg_pool_of_rank(n: int) -> Callable[..., Tensor]:
    """Make ``avg_pool{n}d``."""

    def avg_pool(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        how = pooling(input, f"avg_pool{n}d", kernel_size, stride, padding, 1, bool(ceil_mode))
        divisor = divisor_override or _divisor(tuple(input.shape[-n:]), how, count_include_pad)
        batched = input.ndim == n + 2
        x = input if batched else unsqueeze(input, 0)
        y = AvgPool.apply(x, window=how.window, out_sizes=how.out_sizes, divisor=divisor)
        return y if batched else reshape(y, y.shape[1:])

    avg_pool.__name__ = avg_pool.__qualname__ = f"avg_pool{n}d"
    avg_pool.__doc__ = (
        f"Average each window of input ([N,] C, *S) over {n} spatial dimension(s).\n\n"
        "`divisor_override` replaces the number of elements. RuntimeError if the window does not "
        "fit the image."
    )
    return public(function=n == 1)(accepts_out(avg_pool))


avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool_of_rank(n) for n in (1, 2, 3))
