"""Sliding blocks of an image as columns, and columns added up to an image again."""

from __future__ import annotations

import math
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends.window import Sizes, Window
from disttorch.ops.pool_check import Ints
from disttorch.ops.shape import reshape, unsqueeze
from disttorch.tensor import Tensor

__all__ = ["fold", "unfold_blocks"]

Array = Any


class Blocks(Op):
    """The windows of x (N, C, *S) as columns (N, C * taps, windows); padding counts as zero."""

    torch_name = "Im2ColBackward0"

    def forward(ctx, x: Array, window: Window) -> Array:
        ctx.window, ctx.sizes = window, tuple(x.shape[2:])
        out = window.outputs(ctx.sizes)
        y = ctx.xp.zeros((*x.shape[:2], window.n_taps, *out), x.dtype)
        for k, (outputs, inputs) in enumerate(window.taps(ctx.sizes, out)):
            y[(slice(None), slice(None), k, *outputs)] = x[(..., *inputs)]
        return y.reshape(x.shape[0], x.shape[1] * window.n_taps, math.prod(out))

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AddBlocks, g, sizes=ctx.sizes, window=ctx.window)


class AddBlocks(Op):
    """Columns (N, C * taps, windows) added at their places in an image: (N, C, *sizes)."""

    torch_name = "Col2ImBackward0"

    def forward(ctx, y: Array, sizes: Sizes, window: Window) -> Array:
        ctx.window = window
        n, out = y.shape[0], window.outputs(sizes)
        n_channels = y.shape[1] // window.n_taps
        columns = y.reshape(n, n_channels, window.n_taps, *out)
        x = ctx.xp.zeros((n, n_channels, *sizes), y.dtype)
        for k, (outputs, inputs) in enumerate(window.taps(sizes, out)):
            x[(..., *inputs)] += columns[(slice(None), slice(None), k, *outputs)]
        return x

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Blocks, g, window=ctx.window)


def _pair(value: Ints, name: str) -> Sizes:
    """Expand a number to two; RuntimeError for lists of other lengths."""
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    return values * 2 if len(values) == 1 else values


def _window(kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Window:
    """Check the numbers of a window with PyTorch's messages."""
    kernel, spread = _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation")
    pads, steps = _pair(padding, "padding"), _pair(stride, "stride")
    for name, (h, w) in (("kernel size", kernel), ("stride", steps), ("dilation", spread)):
        if min(h, w) <= 0:
            letter = name[0]
            raise RuntimeError(
                f"{name} should be greater than zero, but got {letter}H: {h} {letter}W: {w}"
                if name != "kernel size"
                else f"kernel_size should be greater than zero, but got kernel_height: {h} "
                f"kernel_width: {w}"
            )
    if min(pads) < 0:
        raise RuntimeError(
            f"padding should be non-negative, but got pad_height: {pads[0]} pad_width: {pads[1]}"
        )
    return Window(kernel, steps, pads, spread)


@public(function=False)
def unfold_blocks(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Return the blocks of input ([N,] C, H, W) as columns ([N,] C * taps, blocks).

    RuntimeError for another rank and for a window that does not fit.
    """
    window = _window(kernel_size, dilation, padding, stride)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    sizes = tuple(input.shape[-2:])
    out = window.outputs(sizes)
    if min(out) < 1:
        raise RuntimeError(
            f"Given input with spatial size {sizes}, kernel_size={window.kernel}, "
            f"dilation={window.dilation}, padding={window.padding}, calculated shape of the array "
            f"of sliding blocks as {out}, but its components must be at least one."
        )
    if input.ndim == 3:
        y = Blocks.apply(unsqueeze(input, 0), window=window)
        return reshape(y, y.shape[1:])
    return Blocks.apply(input, window=window)


@public(function=False)
def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """Add blocks ([N,] C * taps, blocks) up to an image ([N,] C, *output_size).

    RuntimeError for another rank and for sizes that do not belong together.
    """
    sizes = _pair(output_size, "output_size")
    window = _window(kernel_size, dilation, padding, stride)
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    n_rows, n_blocks = input.shape[-2:]
    if n_rows % window.n_taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={n_rows} and kernel_size={window.kernel}."
        )
    out = window.outputs(sizes)
    if n_blocks != math.prod(out) or min(out) < 1:
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={window.kernel}, dilation={window.dilation}, "
            f"padding={window.padding}, stride={window.stride}, expected size of input's dimension "
            f"2 to match the calculated number of sliding blocks {out[0]} * {out[1]} = "
            f"{math.prod(out)}, but got input.size(2)={n_blocks}."
        )
    if input.ndim == 2:
        y = AddBlocks.apply(unsqueeze(input, 0), sizes=sizes, window=window)
        return reshape(y, y.shape[1:])
    return AddBlocks.apply(input, sizes=sizes, window=window)
