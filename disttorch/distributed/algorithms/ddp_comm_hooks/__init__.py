"""Communication hooks for `DistributedDataParallel.register_comm_hook`.

A hook is called with its state and a `GradBucket` as soon as the gradients in it are complete, and
returns a Future of their average over the ranks.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Any

from disttorch.distributed.algorithms.ddp_comm_hooks import (
    debugging_hooks,
    default_hooks,
    post_localSGD_hook,
    powerSGD_hook,
    quantization_hooks,
)

_power_sgd = powerSGD_hook.powerSGD_hook
_batched_power_sgd = powerSGD_hook.batched_powerSGD_hook


class DDPCommHookType(Enum):
    """The hooks by name, as PyTorch lists them."""

    ALLREDUCE = partial(default_hooks.allreduce_hook)
    FP16_COMPRESS = partial(default_hooks.fp16_compress_hook)
    BF16_COMPRESS = partial(default_hooks.bf16_compress_hook)
    QUANTIZE_PER_TENSOR = partial(quantization_hooks.quantization_pertensor_hook)
    QUANTIZE_PER_CHANNEL = partial(quantization_hooks.quantization_perchannel_hook)
    POWER_SGD = partial(_power_sgd)
    BATCHED_POWER_SGD = partial(_batched_power_sgd)
    POST_LOCAL_SGD = partial(post_localSGD_hook.post_localSGD_hook)
    NOOP = partial(debugging_hooks.noop_hook)


def register_ddp_comm_hook(
    comm_hook_type: DDPCommHookType, model: Any, state: object = None
) -> None:
    """Register one of the hooks above with a model: ``model.register_comm_hook(state, hook)``."""
    model.register_comm_hook(state, comm_hook_type.value)
