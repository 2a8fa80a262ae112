"""Dropout: zeroing at random in training."""

from __future__ import annotations

from typing import Any

from disttorch.nn.modules.function_module import FunctionModule, defaults


class _DropoutNd(FunctionModule):
    """Part of all: probability `p`, active in training mode only."""

    settings = defaults(p=0.5, inplace=False)
    passes_training = True

    def configure(self, values: dict[str, Any]) -> None:
        """Refuse a probability outside [0, 1]."""
        p = values["p"]
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        super().configure(values)

    def extra_repr(self) -> str:
        """Return both settings."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Set elements to 0 with probability `p` and scale the others by 1 / (1 - p)."""

    function = "dropout"


class Dropout1d(_DropoutNd):
    """Drop whole channels of (N, C, L) or (C, L)."""

    function = "dropout1d"


class Dropout2d(_DropoutNd):
    """Drop whole channels of (N, C, H, W)."""

    function = "dropout2d"


class Dropout3d(_DropoutNd):
    """Drop whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    function = "dropout3d"


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance of SELU's outputs."""

    function = "alpha_dropout"


class FeatureAlphaDropout(_DropoutNd):
    """Alpha dropout of whole channels."""

    function = "feature_alpha_dropout"
