"""Pooling: maxima and averages over windows, or to a given output size."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.nn.modules.function_module import REQUIRED, FunctionModule, defaults
from disttorch.nn.modules.sizes import per_dimension


class _WindowPool(FunctionModule):
    """Part of all that have windows: without `stride` they lie side by side."""

    # Some of PyTorch's classes turn sizes into tuples at once, which their repr shows.
    expands_to: ClassVar[int | None] = None

    def configure(self, values: dict[str, Any]) -> None:
        """Fill in the stride."""
        if values["stride"] is None:
            values["stride"] = values["kernel_size"]
        if self.expands_to is not None:
            for name in ("kernel_size", "stride", "padding"):
                values[name] = per_dimension(values[name], self.expands_to)
        super().configure(values)


class _MaxPoolNd(_WindowPool):
    """Largest element of each window."""

    settings = defaults(
        kernel_size=REQUIRED,
        stride=None,
        padding=0,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    )
    hidden = ("return_indices",)


class MaxPool1d(_MaxPoolNd):
    """Largest element of each window of (N, C, L) or (C, L)."""

    function = "max_pool1d"


class MaxPool2d(_MaxPoolNd):
    """Largest element of each window of (N, C, H, W) or (C, H, W)."""

    function = "max_pool2d"


class MaxPool3d(_MaxPoolNd):
    """Largest element of each window of (N, C, D, H, W) or (C, D, H, W)."""

    function = "max_pool3d"


_AVERAGE = defaults(
    kernel_size=REQUIRED, stride=None, padding=0, ceil_mode=False, count_include_pad=True
)


class _AvgPoolNd(_WindowPool):
    """Mean of each window; `divisor_override` replaces the number of its elements."""

    settings = defaults(**_AVERAGE, divisor_override=None)
    hidden = ("ceil_mode", "count_include_pad", "divisor_override")


class AvgPool1d(_AvgPoolNd):
    """Mean of each window of (N, C, L) or (C, L)."""

    function = "avg_pool1d"
    settings = _AVERAGE
    expands_to = 1


class AvgPool2d(_AvgPoolNd):
    """Mean of each window of (N, C, H, W) or (C, H, W)."""

    function = "avg_pool2d"


class AvgPool3d(_AvgPoolNd):
    """Mean of each window of (N, C, D, H, W) or (C, D, H, W)."""

    function = "avg_pool3d"


class _AdaptiveAvgPoolNd(FunctionModule):
    """Mean of as many windows as `output_size` says; None keeps a dimension's size."""

    settings = defaults(output_size=REQUIRED)


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Means of (N, C, L) or (C, L), `output_size` of them."""

    function = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Means of (N, C, H, W) or (C, H, W), `output_size` of them."""

    function = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means of (N, C, D, H, W) or (C, D, H, W), `output_size` of them."""

    function = "adaptive_avg_pool3d"


class _AdaptiveMaxPoolNd(FunctionModule):
    """Maxima of as many windows as `output_size` says."""

    settings = defaults(output_size=REQUIRED, return_indices=False)
    hidden = ("return_indices",)


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Maxima of (N, C, L) or (C, L), `output_size` of them."""

    function = "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Maxima of (N, C, H, W) or (C, H, W), `output_size` of them."""

    function = "adaptive_max_pool2d"


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Maxima of (N, C, D, H, W) or (C, D, H, W), `output_size` of them."""

    function = "adaptive_max_pool3d"
