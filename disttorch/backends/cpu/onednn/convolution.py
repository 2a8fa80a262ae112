"""Convolutions and their gradients by oneDNN, where they are large enough to gain by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from disttorch.backends.cpu import conv
from disttorch.backends.cpu.layout import channels_last_view, empty_images, is_channels_last
from disttorch.backends.cpu.onednn.library import Library, OneDNNError, dims, library
from disttorch.backends.cpu.onednn.primitive import (
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    SRC,
    WEIGHTS,
    Primitive,
    any_layout,
    layout_of,
)
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.window import Window

Array = np.ndarray
Shape = tuple[int, ...]

_TRAINING, _DIRECT = 64, 1
# Multiplications from which the calls around a primitive cost nothing to speak of.
_WORTHWHILE = 1 << 21
_VECTOR = 16  # channels
_N_KEPT = 512  # primitives; networks have some dozens


def conv_forward(x: Array, w: Array, b: Array | None, window: Window, groups: int = 1) -> Array:
    """Return the convolution of x with w plus bias b; see `conv.conv_forward`."""
    if window.is_pointwise and groups == 1 and x.flags.c_contiguous:
        return conv.conv_forward(x, w, b, window)  # a matrix product, with nothing to rearrange
    last = is_channels_last(x) or is_channels_last(w)
    y = empty_images((x.shape[0], w.shape[0], *window.outputs(x.shape[2:])), x.dtype, last)
    if not _run(_forward, (x, w), y, x.shape, w.shape, y.shape, window, groups):
        return conv.conv_forward(x, w, b, window, groups)
    if b is not None:
        y += b.reshape(-1, *(1,) * (x.ndim - 2))
    return y


def conv_backward_input(
    gy: Array, w: Array, sizes: Shape, window: Window, groups: int = 1
) -> Array:
    """Return the gradient (N, C, *sizes) of the input; see `conv.conv_backward_input`."""
    shape = (gy.shape[0], w.shape[1] * groups, *sizes)
    gx = empty_images(shape, gy.dtype, is_channels_last(gy))
    if not _run(_backward_input, (gy, w), gx, shape, w.shape, gy.shape, window, groups):
        return conv.conv_backward_input(gy, w, sizes, window, groups)
    return gx


def conv_backward_weight(x: Array, gy: Array, window: Window, groups: int = 1) -> Array:
    """Return the gradient of the weight; see `conv.conv_backward_weight`."""
    shape = (gy.shape[1], x.shape[1] // groups, *window.kernel)
    if x.shape[1] == 1:  # twice as fast: oneDNN has no kernel for a single channel
        return conv.conv_backward_weight(x, gy, window)
    gw = np.empty(shape, x.dtype)
    if not _run(_backward_weight, (x, gy), gw, x.shape, shape, gy.shape, window, groups):
        return conv.conv_backward_weight(x, gy, window, groups)
    return gw


Build = Callable[["_Geometry"], Primitive]


def _run(
    build: Build, arrays: tuple[Array, Array], out: Array,
    x_shape: Shape, w_shape: Shape, y_shape: Shape, window: Window, groups: int,
) -> bool:  # fmt: skip
    """Compute `out` and return True, or return False where NumPy has to do it."""
    products = math.prod(y_shape) * math.prod(w_shape[1:])
    # Windows of one element with strides: the gradient of the weight writes outside of its memory
    # in oneDNN 3.2 (found with valgrind, jit_avx2_1x1_convolution_bwd_weights_t).
    if window.n_taps == 1 and set(window.stride) != {1}:
        return False
    if products < _WORTHWHILE or any(a.dtype != np.float32 for a in (*arrays, out)):
        return False
    lib = library()
    if lib is None or not 3 <= len(x_shape) <= 5:
        return False
    ordered = [a if _is_ordered(a) else np.ascontiguousarray(a) for a in arrays]
    strides = tuple(tuple(s // 4 for s in a.strides) for a in (*ordered, out))
    key = build, x_shape, w_shape, y_shape, window, groups, strides, get_num_threads()
    try:
        _primitive(*key).run(ordered, out)
    except OneDNNError:
        return False
    return True


def _is_ordered(a: Array) -> bool:
    """Whether `a` is contiguous or channels last."""
    return a.flags.c_contiguous or channels_last_view(a).flags.c_contiguous


class _Geometry:
    """Shapes, layouts and window of one convolution, as oneDNN's calls take them."""

    def __init__(
        self, lib: Library, x_shape: Shape, w_shape: Shape, y_shape: Shape,
        window: Window, groups: int, strides: tuple[Shape, Shape, Shape],
    ) -> None:  # fmt: skip
        self.lib, self.strides, self.groups = lib, strides, groups
        self.x_shape, self.w_shape, self.y_shape = x_shape, w_shape, y_shape
        self.window = (
            dims(window.stride),
            dims([d - 1 for d in window.dilation]),
            dims(window.padding),
            dims(window.padding),
        )

    def images(self, shape: Shape, strides: Shape) -> Any:
        """Descriptor of images: as given if channels last in whole vectors, else oneDNN chooses."""
        if strides[1] == 1 and shape[1] % _VECTOR == 0:
            return layout_of(self.lib, shape, strides)
        return any_layout(self.lib, shape)

    def weight_shape(self) -> Shape:
        """The weight's shape, with the groups apart."""
        if self.groups == 1:
            return self.w_shape
        return (self.groups, self.w_shape[0] // self.groups, *self.w_shape[1:])

    def weight_layout(self, strides: Shape) -> Any:
        """Descriptor of the caller's weight."""
        if self.groups > 1:
            strides = (strides[0] * (self.w_shape[0] // self.groups), *strides)
        return layout_of(self.lib, self.weight_shape(), strides)

    def forward(self, x: Any, y: Any) -> Any:
        """Descriptor of the forward primitive, which the gradients need as a hint."""
        return self.lib.make(
            "convolution_forward_primitive_desc_create", self.lib.engine, _TRAINING, _DIRECT,
            x, any_layout(self.lib, self.weight_shape()), None, y, *self.window, None,
        )  # fmt: skip


def _forward(geometry: _Geometry) -> Primitive:
    g, lib = geometry, geometry.lib
    x_strides, w_strides, y_strides = g.strides
    x, y = g.images(g.x_shape, x_strides), g.images(g.y_shape, y_strides)
    inputs = {SRC: layout_of(lib, g.x_shape, x_strides), WEIGHTS: g.weight_layout(w_strides)}
    return Primitive(lib, g.forward(x, y), inputs, (DST, layout_of(lib, g.y_shape, y_strides)))


def _backward_input(geometry: _Geometry) -> Primitive:
    g, lib = geometry, geometry.lib
    y_strides, w_strides, x_strides = g.strides
    x, y = g.images(g.x_shape, x_strides), g.images(g.y_shape, y_strides)
    descriptor = lib.make(
        "convolution_backward_data_primitive_desc_create", lib.engine, _DIRECT,
        x, any_layout(lib, g.weight_shape()), y, *g.window, g.forward(x, y), None,
    )  # fmt: skip
    inputs = {DIFF_DST: layout_of(lib, g.y_shape, y_strides), WEIGHTS: g.weight_layout(w_strides)}
    return Primitive(lib, descriptor, inputs, (DIFF_SRC, layout_of(lib, g.x_shape, x_strides)))


def _backward_weight(geometry: _Geometry) -> Primitive:
    g, lib = geometry, geometry.lib
    x_strides, y_strides, w_strides = g.strides
    x, y = g.images(g.x_shape, x_strides), g.images(g.y_shape, y_strides)
    descriptor = lib.make(
        "convolution_backward_weights_primitive_desc_create", lib.engine, _DIRECT,
        x, any_layout(lib, g.weight_shape()), None, y, *g.window, g.forward(x, y), None,
    )  # fmt: skip
    inputs = {
        SRC: layout_of(lib, g.x_shape, x_strides),
        DIFF_DST: layout_of(lib, g.y_shape, y_strides),
    }
    return Primitive(lib, descriptor, inputs, (DIFF_WEIGHTS, g.weight_layout(w_strides)))


@lru_cache(_N_KEPT)
def _primitive(
    build: Build, x_shape: Shape, w_shape: Shape, y_shape: Shape, window: Window,
    groups: int, strides: tuple[Shape, Shape, Shape], n_threads: int,
) -> Primitive:  # fmt: skip
    """The primitive for these shapes and layouts; it is made for a number of threads."""
    lib = library()
    if lib is None:
        raise OneDNNError("no library")
    lib.ready()
    return build(_Geometry(lib, x_shape, w_shape, y_shape, window, groups, strides))
