"""Running a wrapped model in a lower precision than that of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from disttorch.distributed.algorithms.ddp_comm_hooks.default_hooks import (
    bf16_compress_hook,
    fp16_compress_hook,
)
from disttorch.dtype import bfloat16, dtype, float16
from disttorch.nn.modules.module import Module
from disttorch.nn.utils.stateless import call_replaced
from disttorch.tensor import Tensor

_COMPRESS = {float16: fp16_compress_hook, bfloat16: bf16_compress_hook}


@dataclass
class _MixedPrecision:
    """Dtypes of `DistributedDataParallel(mixed_precision=)`, each None for no change.

    `param_dtype` is that of parameters and inputs in forward and backward; parameters themselves,
    their gradients and the optimiser's state stay as they are. Gradients travel in `reduce_dtype`,
    by default in `param_dtype`. Buffers are kept in `buffer_dtype`. Only floating-point tensors
    are converted.
    """

    param_dtype: dtype | None = None
    reduce_dtype: dtype | None = None
    buffer_dtype: dtype | None = None

    @property
    def compress_hook(self) -> Any:
        """The communication hook that the dtypes ask for, None for none."""
        wanted = self.reduce_dtype or self.param_dtype
        return None if wanted is None else _COMPRESS.get(wanted)


def cast_buffers(module: Module, to: dtype | None) -> None:
    """Convert the floating-point buffers of a module in place."""
    if to is None:
        return
    for owner in module.modules():
        for name, buffer in owner._buffers.items():
            owner._buffers[name] = cast(buffer, to)


def run(module: Module, to: dtype, inputs: Any, keywords: Any) -> Any:
    """Call a module with parameters and inputs converted; gradients reach its own parameters."""
    lower = {name: cast(p, to) for name, p in module.named_parameters()}
    return call_replaced(module, lower, cast(inputs, to), cast(keywords, to), True, False)


def cast(value: Any, to: dtype) -> Any:
    """Floating-point tensors in nested containers, converted."""
    if isinstance(value, Tensor):
        return value.to(to) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: cast(item, to) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(cast(item, to) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(cast(item, to) for item in value)
    return value
