"""Compiling kernels: without the GIL, kept on disk; a machine compiles each of them once.

Numba writes a cache file under a temporary name and then renames it, so that ranks which compile
at once do not disturb each other. It keeps them in `__pycache__` beside the source or, where that
is read-only, in the user's cache folder (or in NUMBA_CACHE_DIR).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from disttorch.backends.cpu.jit import maths

# A product may be added to without rounding in between; nothing else is relaxed.
CONTRACTED = {"contract"}
_CALLED = f"_{zlib.crc32(Path(maths.__file__).read_bytes()):08x}"


def compiled(function: Callable[..., Any], relaxed: set[str] = CONTRACTED) -> Callable[..., Any]:
    """Return `function` compiled; `relaxed`: the rules of arithmetic that it may bend."""
    # Numba finds a kernel in its cache by name and by the age of its file: with what it calls in
    # the name, a kernel whose functions have changed is not found.
    function.__qualname__ += _CALLED
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": relaxed}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
