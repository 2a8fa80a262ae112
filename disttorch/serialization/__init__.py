"""`save` and `load` in torch's file format, so that either library reads what the other wrote.

`saving` and `loading` are the two public functions, `archive` the zip container, `atomic` the
replacement of files, `memory` arrays against the storages in a file, `names` torch's names in a
pickle, `allowlist` what may be loaded without trust.
"""

from __future__ import annotations

from disttorch.serialization.allowlist import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from disttorch.serialization.loading import load
from disttorch.serialization.saving import save

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]
