"""Padding the last dimensions: with a constant, or with what is there."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.nn import functional as F
from disttorch.nn.modules.batchnorm import check_dims
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.sizes import per_dimension
from disttorch.tensor import Tensor


class _PadNd(Module):
    """Part of all: `padding` is one number, or two for each of the last `n_dims` dimensions."""

    n_dims: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = per_dimension(padding, 2 * self.n_dims)

    def forward(self, input: Tensor) -> Tensor:
        """Pad; the last dimension's padding comes first."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """Return the padding."""
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    """Pad with `value`."""

    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Pad; the last dimension's padding comes first."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """Return padding and value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pad the last dimension with `value`."""

    n_dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad the last two dimensions with `value`."""

    n_dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad the last three dimensions with `value`."""

    n_dims = 3


class _ZeroPadNd(_ConstantPadNd):
    """Pad with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Return the padding."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPadNd, ConstantPad1d):
    """Pad the last dimension with zeros."""


class ZeroPad2d(_ZeroPadNd, ConstantPad2d):
    """Pad the last two dimensions with zeros."""


class ZeroPad3d(_ZeroPadNd, ConstantPad3d):
    """Pad the last three dimensions with zeros."""


class _ReflectionPadNd(_PadNd):
    """Pad with the mirror image at the border."""

    mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Mirror the last dimension."""

    n_dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Mirror the last two dimensions."""

    n_dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Mirror the last three dimensions."""

    n_dims = 3


class _ReplicationPadNd(_PadNd):
    """Pad with the border's elements."""

    mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Repeat the border of the last dimension."""

    n_dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Repeat the border of the last two dimensions."""

    n_dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Repeat the border of the last three dimensions."""

    n_dims = 3


class _CircularPadNd(_PadNd):
    """Pad with the elements of the opposite border."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """Pad; ValueError for a wrong number of dimensions."""
        check_dims(input, (self.n_dims + 1, self.n_dims + 2))
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """Wrap the last dimension around."""

    n_dims = 1


class CircularPad2d(_CircularPadNd):
    """Wrap the last two dimensions around."""

    n_dims = 2


class CircularPad3d(_CircularPadNd):
    """Wrap the last three dimensions around."""

    n_dims = 3
