"""Normalisation without running statistics: LayerNorm, GroupNorm, RMSNorm, LocalResponseNorm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.nn import functional as F
from disttorch.nn import init
from disttorch.nn.modules.function_module import REQUIRED, FunctionModule, defaults
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.sizes import per_dimension
from disttorch.nn.parameter import Parameter, empty_parameter
from disttorch.tensor import Tensor

Shape = int | Sequence[int]


class _Affine(Module):
    """Part of all: an optional scale and shift, 1 and 0 at first."""

    weight: Parameter | None
    bias: Parameter | None

    def _register_affine(
        self, shape: tuple[int, ...], wanted: dict[str, bool], device: Any, dtype: Any
    ) -> None:
        for name, is_wanted in wanted.items():
            param = empty_parameter(*shape, device=device, dtype=dtype) if is_wanted else None
            self.register_parameter(name, param)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self._parameters.get("bias") is not None:
            init.zeros_(self.bias)  # type: ignore[arg-type]


class LayerNorm(_Affine):
    """Normalise over the last dimensions, which are of shape `normalized_shape`."""

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = per_dimension(normalized_shape, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        wanted = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        self._register_affine(self.normalized_shape, wanted, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (*, *normalized_shape) normalised; RuntimeError for other last dimensions."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Normalise over groups of channels of (N, C, *); scale and shift for each channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        wanted = {"weight": affine, "bias": affine and bias}
        self._register_affine((num_channels,), wanted, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C, *) normalised; RuntimeError for other numbers of channels."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """Divide by the root mean square over the last dimensions, of shape `normalized_shape`."""

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = per_dimension(normalized_shape, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        wanted = {"weight": elementwise_affine}
        self._register_affine(self.normalized_shape, wanted, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return (*, *normalized_shape) scaled; RuntimeError for other last dimensions."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(FunctionModule):
    """Divide by a power of the mean square over `size` neighbouring channels."""

    function = "local_response_norm"
    settings = defaults(size=REQUIRED, alpha=1e-4, beta=0.75, k=1.0)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """Local response norm of (N, C, H, W) over channels; an even `size` counts one less.

    PyTorch's running sum never drops the first channel's square, and its gradient disagrees with
    that; here both are those of the formula, and equal PyTorch's up to (size + 1) / 2 channels.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Tensor:
        """Divide by (k + alpha * mean of neighbours' squares) ** beta; ValueError unless 4D."""
        if input.ndim != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead.")
        reach = (self.size - 1) // 2
        n, c = input.shape[:2]
        squares = F.pad((input * input).reshape(n, 1, c, -1), (0, 0, reach, reach))
        total: Any = F.avg_pool2d(squares, (2 * reach + 1, 1), stride=1) * (2 * reach + 1)
        scale = total.reshape(input.shape) * (self.alpha / self.size) + self.k
        return input * scale**-self.beta

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
