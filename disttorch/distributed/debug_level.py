"""How much PyTorch's processes would log; here all checks are always on, and it changes nothing."""

from __future__ import annotations

import os
from enum import Enum

_VARIABLE = "TORCH_DISTRIBUTED_DEBUG"


class DebugLevel(Enum):
    """PyTorch's levels."""

    OFF = 0
    INFO = 1
    DETAIL = 2


class _Current:
    level: DebugLevel | None = None


def set_debug_level(level: DebugLevel) -> None:
    """Set what `get_debug_level` returns."""
    _Current.level = level


def set_debug_level_from_env() -> None:
    """Take the level from TORCH_DISTRIBUTED_DEBUG; RuntimeError if it is none."""
    name = os.environ.get(_VARIABLE, "") or "OFF"
    if name.upper() not in DebugLevel.__members__:
        raise RuntimeError(f"The value of {_VARIABLE} must be OFF, INFO, or DETAIL.")
    _Current.level = DebugLevel[name.upper()]


def get_debug_level() -> DebugLevel:
    """Return the level last set, by default that of TORCH_DISTRIBUTED_DEBUG."""
    if _Current.level is None:
        set_debug_level_from_env()
    assert _Current.level is not None
    return _Current.level
