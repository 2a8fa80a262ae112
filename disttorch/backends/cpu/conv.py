"""Convolution on NumPy: copy the windows into a matrix, then matrix products.

Two layouts of that matrix. *Pixel-major* (pixels, taps x channels) is copied from channels-last
images in runs of a whole window row, which is several times faster than gathering single pixels;
with few channels the runs are short and *tap-major* (channels x taps, pixels) has the longer ones.
A batch goes through in blocks of images whose matrix stays in the cache. Backward recomputes the
matrix: it costs a tenth of the product and would otherwise be the largest thing kept by training.
`conv_rows` needs a smaller matrix; it is for images of many channels and small weights.

Shapes: x (N, C, *S), w (O, C / groups, *kernel), y (N, O, *S'). Layouts: y is channels last in
memory if x or w is, as in PyTorch.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from disttorch.backends.cpu import conv_depthwise, conv_rows
from disttorch.backends.cpu.image_blocks import image_blocks, run_blocks
from disttorch.backends.cpu.layout import (
    channels_first_view,
    channels_last_view,
    empty_images,
    is_channels_last,
    padded,
    padded_channels_last,
)
from disttorch.backends.window import Window

Array = np.ndarray

# Weights from which a product an image block is large enough for BLAS's own threads to share it.
_LARGE_WEIGHT = 1 << 20  # bytes
# Measured on 1 MB of L2: blocks of 1 to 8 MB are equally fast, smaller ones pay for their calls.
_BLOCK_NBYTES = 4 << 20
# Contiguous floats copied at a time from which pixel-major columns win.
_LONG_RUN = 48
# With fewer pixels an image, a product a image is too small to be efficient.
_MIN_PIXELS = 64
# Below this many channels a product with as many columns is inefficient.
_FEW_CHANNELS = 8


def conv_forward(x: Array, w: Array, b: Array | None, window: Window, groups: int = 1) -> Array:
    """Return the convolution y (N, O, *S') of x with w plus bias b (O,)."""
    out_shape = (x.shape[0], w.shape[0], *window.outputs(x.shape[2:]))
    last = is_channels_last(x) or is_channels_last(w)
    y = empty_images(out_shape, x.dtype, last)
    if not y.size:
        return y
    x, w, result = _as_float32(x), _as_float32(w), y
    if x.dtype != y.dtype:
        result = np.empty_like(y, x.dtype)
    if groups > 1 and w.shape[1] == 1:
        conv_depthwise.forward(x, w, window, result)
        if b is not None:
            result += b.reshape(-1, *(1,) * (x.ndim - 2))
    elif groups > 1:
        for xs, ws in _group_slices(x.shape[1], w.shape[0], groups):
            part = np.empty((x.shape[0], ws.stop - ws.start, *out_shape[2:]), x.dtype)
            _forward(x[:, xs], w[ws], None if b is None else b[ws], window, part)
            result[:, ws] = part
    else:
        _forward(x, w, b, window, result)
    if result is not y:
        y[...] = result
    return y


def conv_backward_input(
    gy: Array, w: Array, sizes: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """Return the gradient (N, C, *sizes) of the input, given that of the output."""
    gx = empty_images((gy.shape[0], w.shape[1] * groups, *sizes), gy.dtype, is_channels_last(gy))
    gy, w = _as_float32(gy), _as_float32(w)
    if groups == 1:
        _backward_input(gy, w, window, gx)
    elif w.shape[1] == 1:
        conv_depthwise.backward_input(gy, w, window, gx)
    else:
        for xs, ws in _group_slices(gx.shape[1], w.shape[0], groups):
            _backward_input(gy[:, ws], w[ws], window, gx[:, xs])
    return gx


def conv_backward_weight(x: Array, gy: Array, window: Window, groups: int = 1) -> Array:
    """Return the gradient (O, C / groups, *kernel) of the weight, given that of the output."""
    n_in, n_out, np_dtype = x.shape[1], gy.shape[1], x.dtype
    x, gy = _as_float32(x), _as_float32(gy)
    if groups > 1 and n_in == groups:
        gw = conv_depthwise.backward_weight(x, gy, window)
    else:
        parts = [
            _backward_weight(x[:, xs], gy[:, ws], window)
            for xs, ws in _group_slices(n_in, n_out, groups)
        ]
        gw = parts[0] if groups == 1 else np.concatenate(parts)
    return gw.astype(np_dtype, copy=False)


def _as_float32(x: Array) -> Array:
    """Widen half precision: NumPy has no fast product for it."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x


def _group_slices(n_in: int, n_out: int, groups: int) -> list[tuple[slice, slice]]:
    """Input and output channels of each group."""
    i, o = n_in // groups, n_out // groups
    return [(slice(g * i, (g + 1) * i), slice(g * o, (g + 1) * o)) for g in range(groups)]


def _blocks(n: int, nbytes_each: int, large: bool) -> list[slice]:
    """Cut a batch of `n` images into blocks whose scratch fits the cache.

    `large`: BLAS's threads are to share each product, not ours the blocks.
    """
    if not large:
        return image_blocks(n, nbytes_each)
    step = max(1, _BLOCK_NBYTES // max(1, nbytes_each))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


# ---- columns ------------------------------------------------------------------------------------


class _Columns:
    """The windows of blocks of images as matrices."""

    def __init__(self, x: Array, window: Window) -> None:
        self.x, self.window = x, window
        self.out_sizes = window.outputs(x.shape[2:])
        self.n_pixels = int(np.prod(self.out_sizes))
        self.depth = x.shape[1] * window.n_taps
        dense_row = window.dilation[-1] == 1
        run = x.shape[1] * (window.kernel[-1] if dense_row else 1)
        self.pixel_major = run >= _LONG_RUN or window.n_taps == 1
        self.nbytes = self.n_pixels * self.depth * x.itemsize  # of an image's matrix

    def weight(self, w: Array) -> Array:
        """Lay a weight (O, C, *kernel) out to fit: (O, depth)."""
        return (channels_last_view(w) if self.pixel_major else w).reshape(w.shape[0], -1)

    def restore_weight(self, gw: Array, kernel: tuple[int, ...]) -> Array:
        """Undo `weight` for a gradient (depth, O): contiguous (O, C, *kernel)."""
        n_out = gw.shape[1]
        if self.pixel_major:
            gw = channels_first_view(gw.T.reshape(n_out, *kernel, -1))
        else:
            gw = gw.T.reshape(n_out, -1, *kernel)
        return np.ascontiguousarray(gw)

    def block(self, part: slice) -> Array:
        """Return the windows of some images, (images, pixels, depth), any strides."""
        x, window, d = self.x[part], self.window, self.x.ndim - 2
        n = x.shape[0]
        if self.pixel_major:
            x = padded_channels_last(x, window.padding)
            if window.is_pointwise:
                return x.reshape(n, self.n_pixels, self.depth)
            lead, steps, inner = (n,), x.strides[1:-1], x.strides[-1:]
            shape = (n, *self.out_sizes, *window.kernel, x.shape[-1])
            strides = (x.strides[0], *self._moves(steps), *self._taps(steps), *inner)
            return as_strided(x, shape, strides).copy().reshape(*lead, self.n_pixels, -1)
        x = padded(x, window.padding)
        steps = x.strides[-d:]
        shape = (x.shape[1], *window.kernel, n, *self.out_sizes)
        strides = (x.strides[1], *self._taps(steps), x.strides[0], *self._moves(steps))
        columns = as_strided(x, shape, strides).copy()
        return columns.reshape(self.depth, n, self.n_pixels).transpose(1, 2, 0)

    def _moves(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(a * s for a, s in zip(steps, self.window.stride, strict=True))

    def _taps(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(a * d for a, d in zip(steps, self.window.dilation, strict=True))

    def flat(self, columns: Array) -> Array:
        """Merge images and pixels of a block without a copy: (images x pixels, depth)."""
        if self.pixel_major:
            return columns.reshape(-1, self.depth)
        return columns.transpose(2, 0, 1).reshape(self.depth, -1).T


# ---- dense --------------------------------------------------------------------------------------


def _forward(x: Array, w: Array, b: Array | None, window: Window, y: Array) -> None:
    """Write the convolution, plus b, into `y`; one group."""
    n, n_out = y.shape[:2]
    bias = None if b is None else b.reshape(-1, *(1,) * (x.ndim - 2))
    if window.is_pointwise and x.flags.c_contiguous and y.flags.c_contiguous:
        np.matmul(w.reshape(n_out, -1), x.reshape(n, x.shape[1], -1), out=y.reshape(n, n_out, -1))
        if bias is not None:
            np.add(y, bias, y)
        return
    if conv_rows.fits(x, w.nbytes, window):
        conv_rows.forward(x, w, bias, window, y)
        return
    columns = _Columns(x, window)
    matrix = columns.weight(w)
    images_apart = y.flags.c_contiguous and columns.n_pixels >= _MIN_PIXELS

    def work(_: int, part: slice) -> None:
        block, target = columns.block(part), y[part]
        if images_apart:
            out = target.reshape(target.shape[0], n_out, -1)
            np.matmul(matrix, block.transpose(0, 2, 1), out=out)
        else:
            last = channels_last_view(target)
            last[...] = (columns.flat(block) @ matrix.T).reshape(last.shape)
        if bias is not None:
            np.add(target, bias, target)

    large = w.nbytes > _LARGE_WEIGHT
    run_blocks(work, _blocks(n, columns.nbytes, large), shared=not large)


def _backward_weight(x: Array, gy: Array, window: Window) -> Array:
    """Gradient of the weight; one group."""
    n_out = gy.shape[1]
    w_nbytes = window.n_taps * x.shape[1] * n_out * x.itemsize
    if window.is_pointwise and x.flags.c_contiguous and gy.flags.c_contiguous:
        n_pixels = int(np.prod(x.shape[2:]))
        planes, pixels = (a.reshape(*a.shape[:2], n_pixels) for a in (x, gy))
        total = np.matmul(pixels, planes.transpose(0, 2, 1)).sum(0)
        return total.reshape(*total.shape, *window.kernel)
    if conv_rows.fits(x, w_nbytes, window):
        return conv_rows.backward_weight(x, gy, window)
    large = w_nbytes > _LARGE_WEIGHT
    columns = _Columns(x, window)
    # Contiguous gradients stay as they are if a product an image is cheaper than a transposition.
    images_apart = gy.flags.c_contiguous and columns.depth <= columns.n_pixels
    blocks = _blocks(len(x), columns.nbytes, large)

    def share(part: slice) -> Array:
        block = columns.block(part)
        if images_apart:
            pixels = gy[part].reshape(block.shape[0], n_out, -1).transpose(0, 2, 1)
            total: Array = np.matmul(block.transpose(0, 2, 1), pixels).sum(0)
            return total
        pixels = np.ascontiguousarray(channels_last_view(gy[part])).reshape(-1, n_out)
        return columns.flat(block).T @ pixels

    total = np.zeros((columns.depth, n_out), gy.dtype)
    if large:
        for part in blocks:
            total += share(part)
    else:
        shares = [total] * len(blocks)
        run_blocks(lambda i, part: shares.__setitem__(i, share(part)), blocks)
        for each in shares:
            total += each
    return columns.restore_weight(total, window.kernel)


def _backward_input(gy: Array, w: Array, window: Window, gx: Array) -> None:
    """Write the gradient of the input into `gx`: each tap's contribution is added in turn."""
    n_out, n_in = w.shape[:2]
    n, n_pixels = gy.shape[0], int(np.prod(gy.shape[2:]))
    if not gy.size:
        gx[...] = 0
        return
    if window.is_pointwise and gy.flags.c_contiguous and gx.flags.c_contiguous:
        np.matmul(w.reshape(n_out, n_in).T, gy.reshape(n, n_out, -1), out=gx.reshape(n, n_in, -1))
        return
    if conv_rows.fits_backward_input(gy, w, window):
        conv_rows.backward_input(gy, w, window, gx)
        return
    add = _add_planes if n_in < _FEW_CHANNELS else _add_pixels
    by_tap = w.transpose(*range(2, w.ndim), 0, 1).reshape(-1, n_out, n_in)
    large = w.nbytes > _LARGE_WEIGHT
    blocks = _blocks(n, window.n_taps * n_pixels * n_in * gy.itemsize, large)
    run_blocks(lambda _, part: add(gy[part], by_tap, window, gx[part]), blocks, shared=not large)


def _add_pixels(gy: Array, by_tap: Array, window: Window, gx: Array) -> None:
    """Write the input's gradient for a block of images, channels last in between."""
    pixels = np.ascontiguousarray(channels_last_view(gy)).reshape(-1, gy.shape[1])
    target = channels_last_view(gx)
    total = np.zeros(target.shape, gy.dtype)
    shares = np.matmul(pixels, by_tap).reshape(-1, total.shape[0], *gy.shape[2:], gx.shape[1])
    for share, (outputs, inputs) in zip(
        shares, window.taps(gx.shape[2:], gy.shape[2:]), strict=True
    ):
        total[(slice(None), *inputs)] += share[(slice(None), *outputs)]
    target[...] = total


def _add_planes(gy: Array, by_tap: Array, window: Window, gx: Array) -> None:
    """Write the input's gradient for a block of images of few channels, as planes."""
    n, n_in = gx.shape[:2]
    matrix = by_tap.transpose(0, 2, 1).reshape(-1, gy.shape[1])
    shares = np.matmul(matrix, gy.reshape(n, gy.shape[1], -1))
    shares = shares.reshape(n, -1, n_in, *gy.shape[2:])
    total = np.zeros(gx.shape, gy.dtype)
    for k, (outputs, inputs) in enumerate(window.taps(gx.shape[2:], gy.shape[2:])):
        total[(..., *inputs)] += shares[(slice(None), k, slice(None), *outputs)]
    gx[...] = total
