"""Depthwise convolution on NumPy: multiply and add, tap by tap, in long runs.

Each plane is laid out flat with its padding; what all windows read at one tap is then a single run
of the flat plane, shifted by that tap's offset. The few positions between the outputs (in the
padding, or jumped over by a stride) are computed along and left out in the end: it costs less than
a loop for each row of the image. A block of planes stays in the cache for all taps.

Shapes: x (N, C, *S), w (C * m, 1, *kernel), y (N, C * m, *S').
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import as_strided

from disttorch.backends.cpu.layout import interior
from disttorch.backends.cpu.workers import run_pieces
from disttorch.backends.window import Sizes, Window

Array = np.ndarray

_BLOCK = 1 << 15  # elements of the planes worked on at a time; three such arrays are in use


class _Planes:
    """How planes of `sizes` lie flat, with `window`'s padding around them."""

    def __init__(self, sizes: Sizes, window: Window, out_sizes: Sizes) -> None:
        self.sizes, self.window, self.out_sizes = sizes, window, out_sizes
        self.padded = tuple(n + 2 * p for n, p in zip(sizes, window.padding, strict=True))
        self.n = math.prod(self.padded)
        steps = [math.prod(self.padded[d + 1 :]) for d in range(len(sizes))]
        self.steps = tuple(a * s for a, s in zip(steps, window.stride, strict=True))
        shifts = [a * d for a, d in zip(steps, window.dilation, strict=True)]
        self.taps = [
            sum(i * a for i, a in zip(tap, shifts, strict=True))
            for tap in np.ndindex(*window.kernel)
        ]
        # From the first window to the last.
        self.run = 1 + sum((m - 1) * a for m, a in zip(out_sizes, self.steps, strict=True))

    def flat(self, images: Array) -> Array:
        """Copy planes (c, *S) into padded ones, (c, n)."""
        if not any(self.window.padding):
            return np.ascontiguousarray(images).reshape(len(images), -1)
        planes = np.zeros((len(images), *self.padded), images.dtype)
        planes[interior(self.window.padding, self.sizes)] = images
        return planes.reshape(len(images), -1)

    def inside(self, planes: Array) -> Array:
        """View the images (c, *S) in padded planes (c, n)."""
        shaped = planes.reshape(-1, *self.padded)
        return shaped[interior(self.window.padding, self.sizes)]

    def outputs(self, runs: Array) -> Array:
        """View the outputs (..., *S') in runs (..., run)."""
        strides = tuple(a * runs.itemsize for a in self.steps)
        shape = (*runs.shape[:-1], *self.out_sizes)
        return as_strided(runs, shape, (*runs.strides[:-1], *strides))

    def runs(self, images: Array) -> Array:
        """Copy (..., *S') to their places in runs, with zeros between."""
        runs = np.zeros((*images.shape[: -len(self.sizes)], self.run), images.dtype)
        self.outputs(runs)[...] = images
        return runs

    def each_block(self, n_images: int, c: int, work: Callable[[int, slice], None]) -> None:
        """Call ``work(image, channels)`` for all blocks of planes, in several threads."""
        step = max(1, min(c, _BLOCK // max(1, self.n)))
        n_blocks = -(-c // step)

        def piece(i: int) -> None:
            image, block = divmod(i, n_blocks)
            work(image, slice(block * step, min(c, (block + 1) * step)))

        run_pieces(piece, n_images * n_blocks)


def forward(x: Array, w: Array, window: Window, y: Array) -> None:
    """Write the convolution into `y`."""
    c = x.shape[1]
    planes = _Planes(x.shape[2:], window, y.shape[2:])
    weight, y = w.reshape(c, -1, len(planes.taps)), _by_channel(y, c)

    def work(image: int, part: slice) -> None:
        flat = planes.flat(x[image, part])[:, None]
        scale = weight[part, :, :, None]
        shape = (*scale.shape[:2], planes.run)
        total, share = np.zeros(shape, x.dtype), np.empty(shape, x.dtype)
        for k, at in enumerate(planes.taps):
            np.multiply(flat[..., at : at + planes.run], scale[:, :, k], out=share)
            np.add(total, share, out=total)
        y[image, part] = planes.outputs(total)

    planes.each_block(len(x), c, work)


def backward_input(gy: Array, w: Array, window: Window, gx: Array) -> None:
    """Write the gradient of the input into `gx`."""
    c = gx.shape[1]
    planes = _Planes(gx.shape[2:], window, gy.shape[2:])
    weight, gy = w.reshape(c, -1, len(planes.taps)), _by_channel(gy, c)

    def work(image: int, part: slice) -> None:
        runs = planes.runs(gy[image, part])
        scale = weight[part, :, :, None]
        total, share = np.zeros((len(runs), planes.n), gy.dtype), np.empty_like(runs)
        for k, at in enumerate(planes.taps):
            np.multiply(runs, scale[:, :, k], out=share)
            target = total[:, at : at + planes.run]
            for j in range(share.shape[1]):
                np.add(target, share[:, j], out=target)
        gx[image, part] = planes.inside(total)

    planes.each_block(len(gy), c, work)


def backward_weight(x: Array, gy: Array, window: Window) -> Array:
    """Return the gradient (C * m, 1, *kernel) of the weight."""
    c = x.shape[1]
    planes = _Planes(x.shape[2:], window, gy.shape[2:])
    gy = _by_channel(gy, c)
    gw = np.zeros((len(x), c, gy.shape[2], len(planes.taps)), x.dtype)

    def work(image: int, part: slice) -> None:
        flat = planes.flat(x[image, part])[:, None]
        runs = planes.runs(gy[image, part])
        for k, at in enumerate(planes.taps):
            # Of complex numbers, vecdot takes the conjugate of the first.
            gw[image, part, :, k] = np.vecdot(flat[..., at : at + planes.run].conj(), runs)

    planes.each_block(len(x), c, work)
    return gw.sum(0).reshape(-1, 1, *window.kernel)


def _by_channel(y: Array, c: int) -> Array:
    """View (N, C * m, *S') as (N, C, m, *S')."""
    strides = (y.strides[0], y.strides[1] * (y.shape[1] // c), *y.strides[1:])
    return as_strided(y, (y.shape[0], c, y.shape[1] // c, *y.shape[2:]), strides)
