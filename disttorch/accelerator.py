"""`disttorch.accelerator`: the machine's accelerator, whatever its kind: none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def is_available() -> bool:
    """Return False."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """Return None: there is no device to name."""
    return None


def device_count() -> int:
    """Return 0."""
    return 0


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **keywords: Any) -> NoReturn:
        raise RuntimeError("Cannot access accelerator device when none is available.")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raise RuntimeError: there is no accelerator."
    return refuse


synchronize, empty_cache = _refusing("synchronize"), _refusing("empty_cache")
current_stream, set_stream = _refusing("current_stream"), _refusing("set_stream")
current_device_index = _refusing("current_device_index")
set_device_index = _refusing("set_device_index")
