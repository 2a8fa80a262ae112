"""How many threads a large operation may use: one setting for OpenBLAS, oneDNN and our own."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "")


@cache
def _openblas() -> tuple[Any, Any] | None:
    """The get and set functions of the OpenBLAS in NumPy's wheel, None for another BLAS."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in _PREFIXES:
            for suffix in _SUFFIXES:
                try:
                    getter = getattr(library, f"{prefix}get_num_threads{suffix}")
                    return getter, getattr(library, f"{prefix}set_num_threads{suffix}")
                except AttributeError:
                    continue
    return None


class _Setting:
    """What `set_num_threads` was given; None: what OpenBLAS found in the environment."""

    n: int | None = None


def get_num_threads() -> int:
    """Return the number of threads a large operation may use."""
    if _Setting.n is None:
        functions = _openblas()
        _Setting.n = int(functions[0]()) if functions else usable_cores()
    return _Setting.n


def set_num_threads(n: int) -> None:
    """Set the number of threads a large operation may use; RuntimeError unless positive."""
    if not isinstance(n, int) or n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    functions = _openblas()
    if functions:
        functions[1](n)
    _Setting.n = n


def usable_cores() -> int:
    """Return the number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
