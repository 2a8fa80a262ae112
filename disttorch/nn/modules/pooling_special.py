"""Pooling of other kinds: power averages, unpooling, windows at random places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from disttorch.nn import functional as F
from disttorch.nn.modules.function_module import REQUIRED, FunctionModule, defaults
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.sizes import per_dimension
from disttorch.tensor import Tensor


class _LPPoolNd(FunctionModule):
    """Norm of each window."""

    settings = defaults(norm_type=REQUIRED, kernel_size=REQUIRED, stride=None, ceil_mode=False)

    def forward(self, input: Tensor) -> Tensor:
        """Pool."""
        settings = (self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        result: Tensor = getattr(F, self.function)(input, *(float(settings[0]), *settings[1:]))
        return result


class LPPool1d(_LPPoolNd):
    """Norm of each window of (N, C, L) or (C, L)."""

    function = "lp_pool1d"


class LPPool2d(_LPPoolNd):
    """Norm of each window of (N, C, H, W) or (C, H, W)."""

    function = "lp_pool2d"


class LPPool3d(_LPPoolNd):
    """Norm of each window of (N, C, D, H, W) or (C, D, H, W)."""

    function = "lp_pool3d"


class _MaxUnpoolNd(FunctionModule):
    """Maxima put back where they were found."""

    settings = defaults(kernel_size=REQUIRED, stride=None, padding=0)
    n_dims: ClassVar[int]

    def configure(self, values: dict[str, Any]) -> None:
        """Give each dimension its number; without a stride windows lie side by side."""
        if values["stride"] is None:
            values["stride"] = values["kernel_size"]
        super().configure({k: per_dimension(v, self.n_dims) for k, v in values.items()})

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """Put `input` at `indices` in zeros; `output_size` chooses among possible sizes."""
        settings = (self.kernel_size, self.stride, self.padding)
        result: Tensor = getattr(F, self.function)(input, indices, *settings, output_size)
        return result


class MaxUnpool1d(_MaxUnpoolNd):
    """Undo MaxPool1d, which returned the indices."""

    function = "max_unpool1d"
    n_dims = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """Undo MaxPool2d, which returned the indices."""

    function = "max_unpool2d"
    n_dims = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """Undo MaxPool3d, which returned the indices."""

    function = "max_unpool3d"
    n_dims = 3


class _FractionalMaxPoolNd(Module):
    """Largest element of windows that start at random places."""

    n_dims: ClassVar[int]
    function: ClassVar[str]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        n, name = self.n_dims, type(self).__name__
        self.kernel_size = per_dimension(kernel_size, n)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else per_dimension(output_size, n)
        self.output_ratio = None if output_ratio is None else per_dimension(output_ratio, n)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """Pool."""
        settings = (self.kernel_size, self.output_size, self.output_ratio, self.return_indices)
        return getattr(F, self.function)(input, *settings, _random_samples=self._random_samples)


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Random windows of (N, C, H, W) or (C, H, W)."""

    n_dims = 2
    function = "fractional_max_pool2d"


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Random windows of (N, C, D, H, W) or (C, D, H, W)."""

    n_dims = 3
    function = "fractional_max_pool3d"
