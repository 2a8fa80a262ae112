"""`disttorch.cuda`: what scripts ask before they choose a device."""

from __future__ import annotations

from importlib import import_module

from disttorch.cuda import amp
from disttorch.cuda.devices import (
    can_device_access_peer,
    current_device,
    current_stream,
    default_stream,
    device,
    device_of,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    set_device,
)
from disttorch.cuda.memory import (
    OutOfMemoryError,
    empty_cache,
    ipc_collect,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
)
from disttorch.cuda.streams import Event, Stream, stream, synchronize


def is_available() -> bool:
    """Return whether tensors can live on a CUDA device: False, there is no CUDA backend yet."""
    return False


def device_count() -> int:
    """Return the number of CUDA devices that tensors can live on."""
    return 0


def is_initialized() -> bool:
    """Return whether a CUDA context exists in this process."""
    return False


def manual_seed(seed: int) -> None:
    """Seed the generator of the current CUDA device; without a device nothing is to be done."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all CUDA devices; without a device nothing is to be done."""


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return whether the current device has bfloat16; there is no device."""
    return False


def seed() -> None:
    """Seed the current device's generator anew; without a device nothing is to be done."""


def seed_all() -> None:
    """Seed the generators of all devices anew; without a device nothing is to be done."""


def get_rng_state_all() -> list[object]:
    """Return the states of all devices' generators: none."""
    return []


def set_rng_state_all(new_states: object) -> None:
    """Restore the states of all devices' generators: none."""


def __getattr__(name: str) -> object:
    # By name: the tensor types lie in a room above this one.
    types = import_module("disttorch.ops.create_legacy").CUDA_TENSOR_TYPES
    if name in types:
        return types[name]
    raise AttributeError(f"module 'disttorch.cuda' has no attribute {name!r}")
