"""Convolution row by row: windows are copied along all dimensions but the first.

The matrix of all windows holds each pixel once for every tap. Here a pixel is copied once for each
tap of a row of the window only: of images lowered to (n, *S'[1:], S[0], taps of a row x C), the
windows that lie in rows i..j of the images are columns i..j, a matrix that BLAS takes as it is. So
there is one product for each row of the output, and a fifth of the copies for a 5x5 window. Rows
of the window that lie in the padding are left out of the product.

Shapes: x (N, C, *S), w (O, C, *kernel), y (N, O, *S').
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from disttorch.backends.cpu.image_blocks import image_blocks, run_blocks
from disttorch.backends.cpu.layout import (
    channels_first_view,
    channels_last_view,
    padded_channels_last,
)
from disttorch.backends.window import Sizes, Window

Array = np.ndarray

# Contiguous floats from which copying them at a time is fast.
_LONG_RUN = 48
# A product has as many rows as a block of images has pixels in a row of the output. With fewer it
# is inefficient, since BLAS rearranges the whole weight each time; a large one takes it longer.
_MIN_PIXELS = 128
_MIN_PIXELS_BACK = 64  # for the input's gradient, whose other way has more to add up
_LARGE_WEIGHT = 1 << 20  # bytes
# With fewer, the shares of a pixel are too short to be added up quickly.
_FEW_CHANNELS = 8


def fits(x: Array, weight_nbytes: int, window: Window) -> bool:
    """Whether a convolution of x (one group) with such a weight is quicker this way."""
    if not _suits(window, x.shape[1], weight_nbytes):
        return False
    lowered = _Lowered(x.shape, x.itemsize, window)
    return _has_pixels(image_blocks(lowered.n, lowered.nbytes), lowered.n_across, _MIN_PIXELS)


def forward(x: Array, w: Array, bias: Array | None, window: Window, y: Array) -> None:
    """Write the convolution of x with w, plus `bias` (O, 1, ...), into `y`."""
    lowered = _Lowered(x.shape, x.itemsize, window)
    matrix = _matrix(w)

    def work(_: int, part: slice) -> None:
        target = y[part]
        images = channels_last_view(target)
        rows = lowered.rows(x[part])
        out = np.empty((images.shape[1], len(rows), w.shape[0]), x.dtype)
        for outputs, taps, windows in lowered.products(rows):
            np.matmul(windows, matrix[taps], out=out[outputs])
        images[...] = out.reshape(images.shape[1], len(images), *images.shape[2:]).swapaxes(0, 1)
        if bias is not None:
            np.add(target, bias, target)

    run_blocks(work, image_blocks(lowered.n, lowered.nbytes))


def fits_backward_input(gy: Array, w: Array, window: Window) -> bool:
    """Whether the gradient of the input is quicker this way, w (O, C, *kernel)."""
    return (
        _suits(window, w.shape[1], w.nbytes)
        and window.stride[0] == 1
        and window.padding[0] < window.kernel[0]
        and w.shape[1] >= _FEW_CHANNELS
        and _has_pixels(_blocks_of_shares(gy, w), math.prod(gy.shape[3:]), _MIN_PIXELS_BACK)
    )


def _blocks_of_shares(gy: Array, w: Array) -> list[slice]:
    """Blocks of images for `backward_input`, by the size of the shares."""
    rows = gy.shape[2] + w.shape[2] - 1
    return image_blocks(
        len(gy), rows * math.prod(gy.shape[3:]) * math.prod(w.shape[3:]) * w.shape[1] * w.itemsize
    )


def backward_input(gy: Array, w: Array, window: Window, gx: Array) -> None:
    """Write the gradient of the input, `gx`, given that of the output.

    The products give each tap's share of a row of the images, from all rows of the window; what
    is left is to add up the shares along the row.
    """
    n_out, n_in = w.shape[:2]
    kernel, ones, d = window.kernel, (1,) * (gy.ndim - 3), gy.ndim
    column = Window(
        (kernel[0], *ones), (1, *ones), (kernel[0] - 1 - window.padding[0], *(0,) * len(ones)),
        (1, *ones),
    )  # fmt: skip
    lowered = _Lowered(gy.shape, gy.itemsize, column)
    across = Window(kernel[1:], window.stride[1:], window.padding[1:], window.dilation[1:])
    matrix = w[:, :, ::-1].transpose(2, 0, *range(3, d), 1).reshape(kernel[0] * n_out, -1)
    taps = list(across.taps(gx.shape[3:], gy.shape[3:]))

    def work(_: int, part: slice) -> None:
        images = channels_last_view(gx[part])
        rows = lowered.rows(gy[part])
        shares = np.empty((gx.shape[2], len(rows), matrix.shape[1]), gy.dtype)
        for outputs, of_weight, windows in lowered.products(rows):
            np.matmul(windows, matrix[of_weight], out=shares[outputs])
        shares = shares.reshape(gx.shape[2], len(images), *gy.shape[3:], len(taps), n_in)
        total = np.zeros((gx.shape[2], len(images), *gx.shape[3:], n_in), gy.dtype)
        for tap, (outputs, inputs) in enumerate(taps):
            target = total[(slice(None), slice(None), *inputs)]
            np.add(target, shares[(slice(None), slice(None), *outputs, tap)], target)
        images[...] = total.swapaxes(0, 1)

    run_blocks(work, _blocks_of_shares(gy, w))


def backward_weight(x: Array, gy: Array, window: Window) -> Array:
    """Return the gradient (O, C, *kernel) of the weight, given that of the output."""
    lowered = _Lowered(x.shape, x.itemsize, window)
    n_out, blocks = gy.shape[1], image_blocks(lowered.n, lowered.nbytes)
    totals = np.zeros((len(blocks), window.kernel[0] * lowered.depth, n_out), x.dtype)

    def work(i: int, part: slice) -> None:
        rows = lowered.rows(x[part])
        pixels = np.ascontiguousarray(channels_last_view(gy[part]).swapaxes(0, 1))
        pixels = pixels.reshape(len(pixels), -1, n_out)
        for outputs, taps, windows in lowered.products(rows):
            totals[i, taps] += np.matmul(windows.transpose(0, 2, 1), pixels[outputs]).sum(0)

    run_blocks(work, blocks)
    total = totals.sum(0).T.reshape(n_out, *window.kernel, -1)
    return np.ascontiguousarray(channels_first_view(total))


def _suits(window: Window, n_channels: int, weight_nbytes: int) -> bool:
    """Whether rows can be told apart, are worth it, and the weight is not large."""
    return (
        len(window.kernel) > 1
        and window.kernel[0] > 1
        and window.dilation[0] == 1
        and window.dilation[-1] == 1
        and n_channels * window.kernel[-1] >= _LONG_RUN
        and weight_nbytes <= _LARGE_WEIGHT
    )


def _has_pixels(blocks: list[slice], n_across: int, least: int) -> bool:
    """Whether the products have enough rows."""
    return bool(blocks) and blocks[0].stop * n_across >= least


def _matrix(w: Array) -> Array:
    """A weight (O, C, *kernel) as (taps x C, O)."""
    return np.ascontiguousarray(channels_last_view(w).reshape(w.shape[0], -1).T)


class _Lowered:
    """How images (N, C, *S) are lowered for a window, and which products follow."""

    def __init__(self, shape: Sizes, itemsize: int, window: Window) -> None:
        self.window = window
        self.n, self.n_rows = shape[0], shape[2]
        self.out_sizes = window.outputs(shape[2:])
        self.n_across = math.prod(self.out_sizes[1:])  # pixels in a row of the output
        self.depth = math.prod(window.kernel[1:]) * shape[1]  # floats in a row of the window
        self.nbytes = self.n_across * self.n_rows * self.depth * itemsize

    def rows(self, x: Array) -> Array:
        """Lower a block of images: (images x pixels across, rows of the images x depth)."""
        window = self.window
        x = padded_channels_last(x, (0, *window.padding[1:]))
        n, across = x.strides[0], x.strides[2:-1]
        moves = [a * s for a, s in zip(across, window.stride[1:], strict=True)]
        taps = [a * d for a, d in zip(across, window.dilation[1:], strict=True)]
        windows = as_strided(
            x,
            (len(x), *self.out_sizes[1:], self.n_rows, *window.kernel[1:], x.shape[-1]),
            (n, *moves, x.strides[1], *taps, x.strides[-1]),
        )
        return windows.reshape(len(x) * self.n_across, self.n_rows * self.depth)

    def products(self, rows: Array) -> Iterator[tuple[slice, slice, Array]]:
        """The products for lowered images: rows of the output, of the weight's matrix, windows.

        Windows are (rows of the output, images x pixels across, floats), of no floats where they
        lie in the padding. Rows of the output with the same taps come as one product, which BLAS
        does without coming back to Python, where threads would wait for each other.
        """
        stride, padding, depth = self.window.stride[0], self.window.padding[0], self.depth
        for (first, last), run in itertools.groupby(range(self.out_sizes[0]), self._taps):
            outputs = list(run)
            start = max(0, outputs[0] * stride - padding + first) * depth
            windows = as_strided(
                rows[:, start:],
                (len(outputs), len(rows), (last - first) * depth),
                (stride * depth * rows.itemsize, *rows.strides),
            )
            yield (
                slice(outputs[0], outputs[-1] + 1),
                slice(first * depth, last * depth),
                windows if first < last else windows[..., :0],
            )

    def _taps(self, row: int) -> tuple[int, int]:
        """First and last row of the window, plus 1, that are not in the padding of an image."""
        kernel, start = self.window.kernel[0], row * self.window.stride[0] - self.window.padding[0]
        first = min(kernel, max(0, -start))
        return first, max(first, min(kernel, self.n_rows - start))
