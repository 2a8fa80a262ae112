"""`disttorch.mps`: what scripts ask before they choose a device."""

from __future__ import annotations


def is_available() -> bool:
    """Return False: there is no MPS device."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the device's generator; without a device nothing is to be done."""
