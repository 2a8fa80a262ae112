"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.cuda import amp as amp
from disttorch.cuda import devices as devices
from disttorch.cuda import memory as memory
from disttorch.cuda import streams as streams
from disttorch.cuda.devices import can_device_access_peer as can_device_access_peer
from disttorch.cuda.devices import current_device as current_device
from disttorch.cuda.devices import current_stream as current_stream
from disttorch.cuda.devices import default_stream as default_stream
from disttorch.cuda.devices import device as device
from disttorch.cuda.devices import device_of as device_of
from disttorch.cuda.devices import get_device_capability as get_device_capability
from disttorch.cuda.devices import get_device_name as get_device_name
from disttorch.cuda.devices import get_device_properties as get_device_properties
from disttorch.cuda.devices import init as init
from disttorch.cuda.devices import set_device as set_device
from disttorch.cuda.memory import OutOfMemoryError as OutOfMemoryError
from disttorch.cuda.memory import empty_cache as empty_cache
from disttorch.cuda.memory import ipc_collect as ipc_collect
from disttorch.cuda.memory import max_memory_allocated as max_memory_allocated
from disttorch.cuda.memory import max_memory_cached as max_memory_cached
from disttorch.cuda.memory import max_memory_reserved as max_memory_reserved
from disttorch.cuda.memory import memory_allocated as memory_allocated
from disttorch.cuda.memory import memory_cached as memory_cached
from disttorch.cuda.memory import memory_reserved as memory_reserved
from disttorch.cuda.memory import memory_stats as memory_stats
from disttorch.cuda.memory import memory_summary as memory_summary
from disttorch.cuda.memory import reset_max_memory_allocated as reset_max_memory_allocated
from disttorch.cuda.memory import reset_max_memory_cached as reset_max_memory_cached
from disttorch.cuda.memory import reset_peak_memory_stats as reset_peak_memory_stats
from disttorch.cuda.streams import Event as Event
from disttorch.cuda.streams import Stream as Stream
from disttorch.cuda.streams import stream as stream
from disttorch.cuda.streams import synchronize as synchronize
from importlib import import_module as import_module

def device_count() -> int:
    ...
def get_rng_state_all() -> list[object]:
    ...
def is_available() -> bool:
    ...
def is_bf16_supported(including_emulation: bool=True) -> bool:
    ...
def is_initialized() -> bool:
    ...
def manual_seed(seed: int) -> None:
    ...
def manual_seed_all(seed: int) -> None:
    ...
def seed() -> None:
    ...
def seed_all() -> None:
    ...
def set_rng_state_all(new_states: object) -> None:
    ...
