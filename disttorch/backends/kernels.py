"""Kernels that a backend implements as a whole, because speed depends on the array library.

Arrays are images (N, C, *S) of one backend; `window` is the geometry. A backend with a library of
its own (cuDNN, oneDNN) overrides these; an op only ever says `ctx.backend.conv_forward(...)`.
"""

from __future__ import annotations

from typing import Any

from disttorch.backends.window import Sizes, Window

Array = Any


class Kernels:
    """Window operators, normalisations and softmax of a backend."""

    def conv_forward(
        self, x: Array, w: Array, b: Array | None, window: Window, groups: int
    ) -> Array:
        """Convolve x (N, C, *S) with w (O, C / groups, *kernel), add b (O,): (N, O, *S')."""
        raise NotImplementedError

    def conv_backward_input(
        self, gy: Array, w: Array, sizes: Sizes, window: Window, groups: int
    ) -> Array:
        """Return the gradient (N, C, *sizes) of a convolution's input."""
        raise NotImplementedError

    def conv_backward_weight(self, x: Array, gy: Array, window: Window, groups: int) -> Array:
        """Return the gradient (O, C / groups, *kernel) of a convolution's weight."""
        raise NotImplementedError

    def max_pool(self, x: Array, window: Window, out_sizes: Sizes) -> Array:
        """Return the maximum of each window, (N, C, *out_sizes)."""
        raise NotImplementedError

    def max_pool_taps(self, x: Array, y: Array, window: Window) -> Array:
        """Return the number of the tap that holds each window's maximum y, a small integer."""
        raise NotImplementedError

    def tap_indices(self, which: Array, sizes: Sizes, window: Window) -> Array:
        """Return tap numbers as positions in the flattened image of spatial `sizes`, int64."""
        raise NotImplementedError

    def pool_scatter(self, gy: Array, which: Array, sizes: Sizes, window: Window) -> Array:
        """Add each element of gy at its window's tap `which`: (N, C, *sizes)."""
        raise NotImplementedError

    def pool_gather(self, gx: Array, which: Array, window: Window) -> Array:
        """Take the element at each window's tap `which`; the adjoint of `pool_scatter`."""
        raise NotImplementedError

    def sum_pool(self, x: Array, window: Window, out_sizes: Sizes) -> Array:
        """Return the sum of each window, (N, C, *out_sizes); padding counts as zero."""
        raise NotImplementedError

    def sum_pool_backward(self, gy: Array, sizes: Sizes, window: Window) -> Array:
        """Add each element of gy to its whole window; the adjoint of `sum_pool`."""
        raise NotImplementedError

    def batch_norm_forward(
        self, x: Array, w: Array | None, b: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """Normalise each channel of (N, C, *S), scale and shift it: y, mean, variance (C,)."""
        raise NotImplementedError

    def batch_norm_backward(
        self, gy: Array, x: Array, w: Array | None, mean: Array, variance: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of x, w and b."""
        raise NotImplementedError

    def row_norm_forward(
        self, x: Array, w: Array | None, b: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """Normalise each row of (rows, D), times w plus b: y, mean, 1 / deviation (rows, 1)."""
        raise NotImplementedError

    def row_norm_backward(
        self, gy: Array, x: Array, w: Array | None, mean: Array, scale: Array
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of x, w and b."""
        raise NotImplementedError

    def group_norm_forward(
        self, x: Array, w: Array | None, b: Array | None, groups: int, eps: float
    ) -> tuple[Array, Array, Array]:
        """Normalise groups of channels of each image of (N, C, *S), scale and shift each channel.

        Returns y, mean and 1 / deviation (N * groups, 1).
        """
        raise NotImplementedError

    def group_norm_backward(
        self, gy: Array, x: Array, w: Array | None, mean: Array, scale: Array, groups: int
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of x, w and b."""
        raise NotImplementedError

    def softmax(self, x: Array, dim: int) -> Array:
        """Return exp(x) over its sum along `dim`."""
        raise NotImplementedError

    def log_softmax(self, x: Array, dim: int) -> Array:
        """Return x minus the logarithm of the sum of exp(x) along `dim`."""
        raise NotImplementedError

    def softmax_backward(self, g: Array, y: Array, dim: int) -> Array:
        """Return the gradient of softmax's input, given that of its output `y`."""
        raise NotImplementedError

    def log_softmax_backward(self, g: Array, y: Array, dim: int) -> Array:
        """Return the gradient of log_softmax's input, given that of its output `y`."""
        raise NotImplementedError


# What a stand-in for a device (the strict fake of the tests) forwards to the CPU's kernels.
KERNEL_NAMES = tuple(name for name in vars(Kernels) if not name.startswith("_"))
