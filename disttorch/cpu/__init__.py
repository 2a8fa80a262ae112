"""`disttorch.cpu`: the CPU as a device among others, for code that asks any device the same."""

from __future__ import annotations

from disttorch.cpu import amp


def is_available() -> bool:
    """Return True: there is always a CPU."""
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> str:
    """Return the name of the only device."""
    return "cpu"


def set_device(device: object) -> None:
    """Choose the device; there is only one."""


def is_initialized() -> bool:
    """Return True: the CPU needs no context."""
    return True


def synchronize(device: object = None) -> None:
    """Wait for queued work; the CPU queues none."""
