"""What autocast is set to in this thread, by type of device."""

from __future__ import annotations

import threading
from typing import Any

from disttorch.amp import casting
from disttorch.device import device
from disttorch.dtype import bfloat16, dtype, float16
from disttorch.tensor import Tensor

DEVICE_TYPES = ("cpu", "cuda")


class _State(threading.local):
    """Autocast's switches; each thread begins with all of them off."""

    def __init__(self) -> None:
        self.enabled = dict.fromkeys(DEVICE_TYPES, False)
        self.dtype: dict[str, dtype] = {"cpu": bfloat16, "cuda": float16}
        self.cache_enabled = True
        self.nesting = 0
        # id of a parameter -> (the parameter, what it was cast to)
        self.cache: dict[tuple[int, dtype], tuple[Tensor, Tensor]] = {}
        self.suspended = False


STATE = _State()


def _check(device_type: str) -> None:
    if device_type not in DEVICE_TYPES:
        device(device_type)  # raises PyTorch's error for what is no device at all
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operators on this type of device are being cast in this thread."""
    return STATE.enabled.get(device_type, False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch casting on or off in this thread; one argument alone means CUDA."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _check(device_type)
    if STATE.enabled[device_type] != bool(enabled):
        STATE.enabled[device_type] = bool(enabled)
        (casting.install if enabled else casting.uninstall)(STATE)


def get_autocast_dtype(device_type: str) -> dtype:
    """Return the narrow dtype of this type of device."""
    _check(device_type)
    return STATE.dtype[device_type]


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Set the narrow dtype of this type of device."""
    _check(device_type)
    STATE.dtype[device_type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether parameters are cast once only within the outermost autocast."""
    return STATE.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep casts of parameters, or do not."""
    STATE.cache_enabled = bool(enabled)


def autocast_increment_nesting() -> int:
    """Note one more autocast inside of the others; return how many there are."""
    STATE.nesting += 1
    return STATE.nesting


def autocast_decrement_nesting() -> int:
    """Note that an autocast was left; return how many are left over."""
    STATE.nesting -= 1
    return STATE.nesting


def clear_autocast_cache() -> None:
    """Forget the casts of parameters."""
    STATE.cache.clear()


def is_autocast_cpu_enabled() -> bool:
    """Whether operators on the CPU are being cast."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switch casting on the CPU on or off."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> dtype:
    """Return the narrow dtype of the CPU."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: dtype) -> None:
    """Set the narrow dtype of the CPU."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> dtype:
    """Return the narrow dtype of CUDA devices."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: dtype) -> None:
    """Set the narrow dtype of CUDA devices."""
    set_autocast_dtype("cuda", dtype)
