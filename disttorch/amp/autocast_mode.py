"""`autocast`: a region in which operators choose their dtype; for custom functions decorators."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from disttorch import cuda
from disttorch.amp import autocast_state as state
from disttorch.dtype import bfloat16, dtype, float16, float64
from disttorch.tensor import Tensor

Function = Callable[..., Any]
_NARROW = (bfloat16, float16)


def is_autocast_available(device_type: str) -> bool:
    """Whether there is an autocast for this type of device."""
    return device_type in state.DEVICE_TYPES


def autocast_decorator(autocast_instance: autocast, func: Function) -> Function:
    """Return `func` run inside of an autocast."""

    @functools.wraps(func)
    def decorate_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorate_autocast


class autocast:
    """Region (or decorator) in which operators compute in `dtype` where PyTorch's lists say so.

    Products and convolutions take narrow operands, losses and the like float32 ones. `dtype` is
    bfloat16 for the CPU by default, float16 for CUDA. Raises RuntimeError for devices without
    autocast; a dtype that the device has none for disables the region with a warning.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        default = state.get_autocast_dtype(device_type)
        self.fast_dtype = default if dtype is None else dtype
        self._cache_enabled = (
            state.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        self._enabled = enabled and self._is_possible()
        self._before: list[tuple[bool, bool, Any]] = []

    def _is_possible(self) -> bool:
        """Warn if this region cannot cast."""
        if self.device == "cuda":
            if cuda.is_available():
                return True
            message = "CUDA is not available or torch_xla is imported. Disabling autocast."
        elif self.fast_dtype in _NARROW:
            return True
        else:
            name = self.device.upper()
            message = (
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of {', '.join(map(str, _NARROW))} currently."
            )
        warnings.warn(message, stacklevel=3)
        return False

    def __enter__(self) -> Self:
        device = self.device
        self._before.append(
            (
                state.is_autocast_cache_enabled(),
                state.is_autocast_enabled(device),
                state.get_autocast_dtype(device),
            )
        )
        state.set_autocast_enabled(device, self._enabled)
        state.set_autocast_dtype(device, self.fast_dtype)
        state.autocast_increment_nesting()
        state.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, *exception: Any) -> bool:
        if state.autocast_decrement_nesting() == 0:
            state.clear_autocast_cache()
        cache_enabled, enabled, before = self._before.pop()
        state.set_autocast_enabled(self.device, enabled)
        state.set_autocast_dtype(self.device, before)
        state.set_autocast_cache_enabled(cache_enabled)
        return False

    def __call__(self, func: Function) -> Function:
        """Decorate a function, which then runs inside of this region."""
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                "mean to use autocast as a context manager? For example:\n"
                "    with torch.autocast(device_type=...):\n"
                "        output = model(input)"
            )
        return autocast_decorator(self, func)


def _cast(value: Any, device_type: str, dtype: dtype) -> Any:
    """Cast the floating tensors of a device in a nest of containers; float64 stays."""
    if isinstance(value, Tensor):
        here = value.device.type == device_type and value.dtype is not float64
        return value.to(dtype) if here and value.is_floating_point() else value
    if isinstance(value, (str, bytes)) or hasattr(value, "__array_interface__"):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(key, device_type, dtype): _cast(item, device_type, dtype)
            for key, item in value.items()
        }
    if isinstance(value, Iterable):
        items = (_cast(item, device_type, dtype) for item in value)
        return type(value)(items) if isinstance(value, (list, tuple)) else items
    return value


def _check_device_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(
    fwd: Function | None = None, *, device_type: str, cast_inputs: dtype | None = None
) -> Function:
    """Decorate `forward` of a custom autograd Function for use within autocast.

    With `cast_inputs` its floating tensors are cast to that dtype and it runs without autocast;
    else `backward`, decorated with `custom_bwd`, runs under the same autocast as `forward`.
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = state.get_autocast_dtype(device_type)
        enabled = state.is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                ctx,
                *_cast(args, device_type, cast_inputs),
                **_cast(kwargs, device_type, cast_inputs),
            )

    return decorate_fwd


def custom_bwd(bwd: Function | None = None, *, device_type: str) -> Function:
    """Decorate `backward` of a custom autograd Function: it runs under `forward`'s autocast."""
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        used = ctx._fwd_used_autocast
        with autocast(device_type=device_type, enabled=used, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorate_bwd
