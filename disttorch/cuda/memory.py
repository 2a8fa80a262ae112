"""How much device memory is in use: none, as long as there is no CUDA device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from disttorch.errors import OutOfMemoryError

__all__ = [
    "OutOfMemoryError",
    "empty_cache",
    "ipc_collect",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
]


def _nothing(name: str, unit: str) -> Callable[..., int]:
    def none(device: Any = None) -> int:
        return 0

    none.__name__ = none.__qualname__ = name
    none.__doc__ = f"Return 0, in {unit}."
    return none


memory_allocated = _nothing("memory_allocated", "bytes")
max_memory_allocated = _nothing("max_memory_allocated", "bytes")
memory_reserved = _nothing("memory_reserved", "bytes")
max_memory_reserved = _nothing("max_memory_reserved", "bytes")
memory_cached = _nothing("memory_cached", "bytes")
max_memory_cached = _nothing("max_memory_cached", "bytes")


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Return figures of the allocator by name: there are none."""
    return OrderedDict()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Return a table of the allocator's figures: a line that says that there is none."""
    return "no CUDA device, so no device memory is in use"


def empty_cache() -> None:
    """Give cached device memory back; without a device there is none."""


def ipc_collect() -> None:
    """Free device memory that other processes released; without a device there is none."""


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin anew with the largest figures; they stay 0."""


def reset_max_memory_allocated(device: Any = None) -> None:
    """Begin anew with the largest figures; they stay 0."""


def reset_max_memory_cached(device: Any = None) -> None:
    """Begin anew with the largest figures; they stay 0."""
