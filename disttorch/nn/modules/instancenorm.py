"""Instance normalisation: each channel of each sample by itself."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from disttorch.nn import functional as F
from disttorch.nn.modules.batchnorm import _NormBase, check_dims
from disttorch.tensor import Tensor


class _InstanceNorm(_NormBase):
    """Normalise (N, C, *) or (C, *) over the dimensions after the channels."""

    n_dims: ClassVar[tuple[int, int]]  # without and with a batch dimension

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        flags = (affine, track_running_stats)
        super().__init__(num_features, eps, momentum, *flags, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; ValueError for wrong dimensions or, if affine, number of channels."""
        check_dims(input, self.n_dims)
        unbatched = input.ndim == self.n_dims[0]
        self._check_channels(input, 0 if unbatched else 1)
        normalised = F.instance_norm(
            input.unsqueeze(0) if unbatched else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return normalised.squeeze(0) if unbatched else normalised

    def _check_channels(self, input: Tensor, dim: int) -> None:
        n = input.shape[dim]
        if n == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features "
                f"({self.num_features}), but got: {n}."
            )
        warnings.warn(
            f"input's size at dim={dim} does not match num_features. You can silence this warning "
            "by not passing in num_features, which is not used because affine=False",
            stacklevel=3,
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Report running statistics of a checkpoint from before they became optional."""
        names = ("running_mean", "running_var")
        stale = [prefix + name for name in names if prefix + name in state_dict]
        if stale and local_metadata.get("version") is None and not self.track_running_stats:
            error_msgs.append(
                _STALE_STATISTICS.format(
                    names=" and ".join(f'"{key}"' for key in stale), kind=type(self).__name__
                )
            )
            for key in stale:
                state_dict.pop(key)
        report = (strict, missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *report)


_STALE_STATISTICS = (
    "Unexpected running stats buffer(s) {names} for {kind} with track_running_stats=False. If "
    "state_dict is a checkpoint saved before 0.4.0, this may be expected because {kind} does not "
    "track running stats by default since 0.4.0. Please remove these keys from state_dict. If the "
    "running stats are actually needed, instead set track_running_stats=True in {kind} to enable "
    "them. See the documentation of {kind} for details."
)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L)."""

    n_dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W)."""

    n_dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W)."""

    n_dims = (4, 5)
