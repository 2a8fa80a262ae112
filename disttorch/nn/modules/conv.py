"""Convolutions and transposed convolutions in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from disttorch.nn import functional as F
from disttorch.nn import init
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.sizes import per_dimension, reversed_twice
from disttorch.nn.parameter import Parameter, empty_parameter
from disttorch.tensor import Tensor

Size = int | Sequence[int]

_PADDINGS = ("same", "valid")
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _check(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ValueError for numbers of channels that groups cannot share."""
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    for name, n in (("in_channels", in_channels), ("out_channels", out_channels)):
        if n % groups:
            raise ValueError(f"{name} must be divisible by groups")


def _check_padding(padding: Any, stride: tuple[int, ...], padding_mode: str) -> None:
    """Raise ValueError for a padding that is not known or not possible."""
    if isinstance(padding, str):
        if padding not in _PADDINGS:
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of {set(_PADDINGS)}"
            )
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if padding_mode not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {set(_PADDING_MODES)}, but got "
            f"padding_mode='{padding_mode}'"
        )


class _ConvNd(Module):
    """Part of all: `weight` (out, in / groups, *kernel), transposed (in, out / groups, *kernel)."""

    n_dims: ClassVar[int]
    function: ClassVar[str]
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        n = self.n_dims
        _check(in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_dimension(kernel_size, n)
        self.stride = per_dimension(stride, n)
        self.padding = padding if isinstance(padding, str) else per_dimension(padding, n)
        self.dilation = per_dimension(dilation, n)
        self.output_padding: tuple[int, ...] = (0,) * n
        self.groups = groups
        self.padding_mode = padding_mode
        _check_padding(padding, self.stride, padding_mode)
        self._reversed_padding_repeated_twice = self._explicit_padding()
        channels = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (channels[0], channels[1] // groups, *self.kernel_size)
        self.weight = empty_parameter(*shape, device=device, dtype=dtype)
        given = empty_parameter(out_channels, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", given)
        self.reset_parameters()

    def _explicit_padding(self) -> list[int]:
        """Return what `functional.pad` would have to add, last dimension first."""
        if not isinstance(self.padding, str):
            return reversed_twice(self.padding)
        pads = []
        for dilation, kernel in zip(self.dilation[::-1], self.kernel_size[::-1], strict=False):
            total = dilation * (kernel - 1) if self.padding == "same" else 0
            pads += [total // 2, total - total // 2]
        return pads

    def reset_parameters(self) -> None:
        """Fill with uniform numbers within 1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, *) or (C, *)."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve with a given weight and bias; subclasses of users call it."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            pads = self._reversed_padding_repeated_twice
            input = F.pad(input, pads, mode=self.padding_mode)
            padding = (0,) * self.n_dims
        settings = (self.stride, padding, self.dilation, self.groups)
        return getattr(F, self.function)(input, weight, bias, *settings)

    def extra_repr(self) -> str:
        """Return sizes and stride, and the settings that are not default."""
        parts = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        ]
        for name, default in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            if value != (default,) * len(value):
                parts.append(f"{name}={value}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_ConvNd):
    """Convolution of (N, C, L) or (C, L)."""

    n_dims = 1
    function = "conv1d"


class Conv2d(_ConvNd):
    """Convolution of (N, C, H, W) or (C, H, W)."""

    n_dims = 2
    function = "conv2d"


class Conv3d(_ConvNd):
    """Convolution of (N, C, D, H, W) or (C, D, H, W)."""

    n_dims = 3
    function = "conv3d"


class _ConvTransposeNd(_ConvNd):
    """Part of all transposed convolutions, the gradients of convolutions by their inputs."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias),
            device=device,
            dtype=dtype,
        )
        self.output_padding = per_dimension(output_padding, self.n_dims)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Convolve (N, C, *) or (C, *); `output_size` chooses among the possible sizes."""
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(input, output_size)
        settings = (self.stride, self.padding, extra, self.groups, self.dilation)
        return getattr(F, self.function)(input, self.weight, self.bias, *settings)

    def _output_padding(self, input: Tensor, wanted: Sequence[int]) -> tuple[int, ...]:
        """Return what is to be added to the smallest output; ValueError for an impossible size."""
        n = self.n_dims
        n_other = 2 if input.ndim == n + 2 else 1
        if len(wanted) == n_other + n:
            wanted = wanted[n_other:]
        if len(wanted) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {input.ndim}D input, output_size must have {n} or "
                f"{n_other + n} elements (got {len(wanted)})"
            )
        settings = zip(
            *(input.shape[n_other:], self.stride, self.padding, self.dilation, self.kernel_size),
            strict=True,
        )
        smallest = [(size - 1) * s - 2 * p + d * (k - 1) + 1 for size, s, p, d, k in settings]
        largest = [size + s - 1 for size, s in zip(smallest, self.stride, strict=True)]
        limits = zip(smallest, wanted, largest, strict=True)
        if any(not low <= size <= high for low, size, high in limits):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from "
                f"{smallest} to {largest} (for an input of {input.shape[2:]})"
            )
        return tuple(size - low for size, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of (N, C, L) or (C, L)."""

    n_dims = 1
    function = "conv_transpose1d"


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of (N, C, H, W) or (C, H, W)."""

    n_dims = 2
    function = "conv_transpose2d"


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of (N, C, D, H, W) or (C, D, H, W)."""

    n_dims = 3
    function = "conv_transpose3d"
