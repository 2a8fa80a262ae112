"""The older names, one set a device: `torch.cuda.amp` and `torch.cpu.amp`; all deprecated."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from disttorch import cuda
from disttorch.amp import autocast_mode, grad_scaler
from disttorch.dtype import bfloat16, dtype, float16


def _warn(name: str, instead: str) -> None:
    warnings.warn(
        f"`torch.{name}(args...)` is deprecated. Please use `torch.{instead}` instead.",
        FutureWarning,
        stacklevel=3,
    )


class CudaAutocast(autocast_mode.autocast):
    """`torch.cuda.amp.autocast`: an autocast for CUDA, float16 by default."""

    def __init__(
        self, enabled: bool = True, dtype: dtype = float16, cache_enabled: bool = True
    ) -> None:
        _warn("cuda.amp.autocast", "amp.autocast('cuda', args...)")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class CpuAutocast(autocast_mode.autocast):
    """`torch.cpu.amp.autocast`: an autocast for the CPU, bfloat16 by default."""

    def __init__(
        self, enabled: bool = True, dtype: dtype = bfloat16, cache_enabled: bool = True
    ) -> None:
        _warn("cpu.amp.autocast", "amp.autocast('cpu', args...)")
        super().__init__("cpu", dtype, enabled, cache_enabled)


class CudaGradScaler(grad_scaler.GradScaler):
    """`torch.cuda.amp.GradScaler`: a scaler for CUDA."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _warn("cuda.amp.GradScaler", "amp.GradScaler('cuda', args...)")
        super().__init__("cuda", *args, **kwargs)


class CpuGradScaler(grad_scaler.GradScaler):
    """`torch.cpu.amp.GradScaler`: a scaler for the CPU."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _warn("cpu.amp.GradScaler", "amp.GradScaler('cpu', args...)")
        super().__init__("cpu", *args, **kwargs)


def cuda_custom_fwd(fwd: Any = None, *, cast_inputs: dtype | None = None) -> Any:
    """`torch.cuda.amp.custom_fwd`: `amp.custom_fwd` for CUDA."""
    _warn("cuda.amp.custom_fwd", "amp.custom_fwd(args..., device_type='cuda')")
    make = functools.partial(autocast_mode.custom_fwd, device_type="cuda")
    return make(fwd, cast_inputs=cast_inputs)


def cuda_custom_bwd(bwd: Any) -> Any:
    """`torch.cuda.amp.custom_bwd`: `amp.custom_bwd` for CUDA."""
    _warn("cuda.amp.custom_bwd", "amp.custom_bwd(args..., device_type='cuda')")
    return autocast_mode.custom_bwd(bwd, device_type="cuda")


def amp_definitely_not_available() -> bool:
    """Whether there is no CUDA device to cast for."""
    return not cuda.is_available()


CUDA = {
    "GradScaler": CudaGradScaler,
    "amp_definitely_not_available": amp_definitely_not_available,
    "autocast": CudaAutocast,
    "custom_bwd": cuda_custom_bwd,
    "custom_fwd": cuda_custom_fwd,
}
CPU = {"GradScaler": CpuGradScaler, "autocast": CpuAutocast}
