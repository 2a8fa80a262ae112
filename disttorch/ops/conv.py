"""Convolution and transposed convolution in one to three dimensions.

A convolution is linear in its input and in its weight, so its two gradients are three operators
that differentiate into one another: convolution, transposed convolution (the gradient of the
input), and the correlation of input and output gradient (the gradient of the weight).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends.window import Sizes, Window
from disttorch.ops import conv_check as check
from disttorch.ops.conv_check import Ints, per_dim
from disttorch.ops.pad import Pad
from disttorch.ops.shape import reshape, unsqueeze
from disttorch.tensor import Tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Array = Any


class Convolution(Op):
    """y (N, O, *S') = x (N, C, *S) convolved with w (O, C / groups, *kernel), plus b (O,)."""

    torch_name = "ConvolutionBackward0"
    saved_for = ((1,), (0,))

    def forward(ctx, x: Array, w: Array, b: Array | None, window: Window, groups: int) -> Array:
        ctx.save(0, 1)
        ctx.sizes, ctx.window, ctx.groups = tuple(x.shape[2:]), window, groups
        return ctx.backend.conv_forward(x, w, b, window, groups)

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        how = {"window": ctx.window, "groups": ctx.groups}
        gx = gw = gb = None
        if ctx.needs_grad(0):
            gx = ctx.call(TransposedConvolution, g, ctx.F.conj(w), None, sizes=ctx.sizes, **how)
        if ctx.needs_grad(1):
            gw = ctx.call(Correlation, ctx.F.conj(x), g, **how)
        if ctx.needs_grad(2):
            gb = ctx.F.sum(g, (0, *range(2, g.ndim)))
        return gx, gw, gb


class TransposedConvolution(Op):
    """The gradient (N, C, *sizes) of a convolution's input given that of its output, plus b."""

    torch_name = "ConvolutionBackward0"
    saved_for = ((1,), (0,))

    def forward(
        ctx, x: Array, w: Array, b: Array | None, sizes: Sizes, window: Window, groups: int
    ) -> Array:
        ctx.save(0, 1)
        ctx.window, ctx.groups = window, groups
        y = ctx.backend.conv_backward_input(x, w, sizes, window, groups)
        if b is not None:
            y += b.reshape(-1, *(1,) * len(sizes))
        return y

    def backward(ctx, g: Any) -> Any:
        x, w = ctx.saved
        how = {"window": ctx.window, "groups": ctx.groups}
        gx = gw = gb = None
        if ctx.needs_grad(0):
            gx = ctx.call(Convolution, g, ctx.F.conj(w), None, **how)
        if ctx.needs_grad(1):
            gw = ctx.call(Correlation, g, ctx.F.conj(x), **how)
        if ctx.needs_grad(2):
            gb = ctx.F.sum(g, (0, *range(2, g.ndim)))
        return gx, gw, gb


class Correlation(Op):
    """The gradient of a convolution's weight given its input x and its output's gradient gy."""

    torch_name = "ConvolutionBackward0"
    saved_for = ((1,), (0,))

    def forward(ctx, x: Array, gy: Array, window: Window, groups: int) -> Array:
        ctx.save(0, 1)
        ctx.sizes, ctx.window, ctx.groups = tuple(x.shape[2:]), window, groups
        return ctx.backend.conv_backward_weight(x, gy, window, groups)

    def backward(ctx, g: Any) -> Any:
        x, gy = ctx.saved
        how = {"window": ctx.window, "groups": ctx.groups}
        gx = g_gy = None
        if ctx.needs_grad(0):
            gx = ctx.call(TransposedConvolution, ctx.F.conj(gy), g, None, sizes=ctx.sizes, **how)
        if ctx.needs_grad(1):
            g_gy = ctx.call(Convolution, ctx.F.conj(x), g, None, **how)
        return gx, g_gy


def _same_padding(
    input: Tensor, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> tuple[Tensor, Sizes]:
    """Return input and symmetric padding for padding="same"; odd totals pad the far side first."""
    if set(stride) != {1}:
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(total % 2 for total in totals):
        extra = ((0, 0), (0, 0), *((0, total % 2) for total in totals))
        input = Pad.apply(input, pads=extra, value=0)
    return input, tuple(total // 2 for total in totals)


def _convolve(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """Check, batch and apply a convolution with `n` spatial dimensions."""
    check.check_input_rank(input, n, f"conv{n}d")
    if input.ndim == n + 1:
        batched = _convolve(n, unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)
        return reshape(batched, batched.shape[1:])
    check.check_weight_rank(input, weight)
    n_kernel = weight.ndim - 2
    stride = per_dim(stride, n_kernel, "stride")
    dilation = per_dim(dilation, n_kernel, "dilation")
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if padding == "same":
            input, pads = _same_padding(input, kernel, stride, dilation)
        else:
            pads = (0,) * n_kernel
    else:
        pads = per_dim(padding, n_kernel, "padding")
    check.check_geometry(stride, pads, dilation, groups)
    check.check_operands(input, weight, bias, groups, transposed=False)
    check.check_kernel_fits(input, kernel, pads, dilation)
    window = Window(kernel, stride, pads, dilation)
    return Convolution.apply(input, weight, bias, window=window, groups=groups)


def _convolve_transposed(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    """Check, batch and apply a transposed convolution with `n` spatial dimensions."""
    check.check_input_rank(input, n, f"conv_transpose{n}d")
    if input.ndim == n + 1:
        batched = _convolve_transposed(
            n, unsqueeze(input, 0), weight, bias, stride, padding, output_padding, groups, dilation
        )
        return reshape(batched, batched.shape[1:])
    stride, pads = per_dim(stride, n, "stride"), per_dim(padding, n, "padding")
    dilation = per_dim(dilation, n, "dilation")
    extra = per_dim(output_padding, n, "output_padding")
    check.check_geometry(stride, pads, dilation, groups)
    check.check_operands(input, weight, bias, groups, transposed=True)
    window = Window(tuple(weight.shape[2:]), stride, pads, dilation)
    sizes = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + o + 1
        for length, k, s, p, d, o in zip(
            input.shape[2:], window.kernel, stride, pads, dilation, extra, strict=True
        )
    )
    check.check_transposed_sizes(input, sizes, extra, stride, dilation)
    if all(o < s for o, s in zip(extra, stride, strict=True)):
        return TransposedConvolution.apply(
            input, weight, bias, sizes=sizes, window=window, groups=groups
        )
    # Output padding of a stride or more (dilation allows it) leaves room for further windows, so
    # no convolution has this output as its input: take all that windows reach, then cut and pad.
    window = replace(window, padding=(0,) * n)
    reached = tuple(size + 2 * p - o for size, p, o in zip(sizes, pads, extra, strict=True))
    y = TransposedConvolution.apply(
        input, weight, None, sizes=reached, window=window, groups=groups
    )
    cut = ((0, 0), (0, 0), *((-p, o - p) for p, o in zip(pads, extra, strict=True)))
    y = Pad.apply(y, pads=cut, value=0)
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def _conv_of_rank(n: int) -> Callable[..., Tensor]:
    """Make ``conv{n}d``."""

    def conv(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        return _convolve(n, input, weight, bias, stride, padding, dilation, groups)

    conv.__name__ = conv.__qualname__ = f"conv{n}d"
    conv.__doc__ = (
        f"Convolve input ([N,] C, *S) with weight (O, C / groups, *kernel) over {n} dimension(s)."
        '\n\n`padding`: numbers, "valid" or "same". RuntimeError if shapes or dtypes do not fit.'
    )
    return public()(conv)


def _conv_transpose_of_rank(n: int) -> Callable[..., Tensor]:
    """Make ``conv_transpose{n}d``."""

    def conv_transpose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
    ) -> Tensor:
        return _convolve_transposed(
            n, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    conv_transpose.__name__ = conv_transpose.__qualname__ = f"conv_transpose{n}d"
    conv_transpose.__doc__ = (
        f"Transposed convolution of input ([N,] C, *S) with weight (C, O / groups, *kernel), {n}-d."
        "\n\n`output_padding` adds to one side of the output. RuntimeError if shapes do not fit."
    )
    return public()(conv_transpose)


conv1d, conv2d, conv3d = (_conv_of_rank(n) for n in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    _conv_transpose_of_rank(n) for n in (1, 2, 3)
)
