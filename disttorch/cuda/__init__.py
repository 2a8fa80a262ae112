"""`disttorch.cuda`: what scripts ask before they choose a device."""

from __future__ import annotations

from disttorch.cuda import amp


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


def synchronize(device: object = None) -> None:
    """Wait for the device's queued work; without a device there is none."""


def empty_cache() -> None:
    """Give cached device memory back; without a device there is none."""
