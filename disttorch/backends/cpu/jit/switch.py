"""When the `fast` extra is used, and whether it can be.

Importing Numba takes half a second, and compiling a kernel, once on a machine, about as long.
So a kernel is fetched when its operator has done so much work on NumPy that the time will come
back: after `_WORTHWHILE` elements, counted over calls. The count depends on nothing but the
program, so that a program gives the same numbers each time it runs, and on each rank.

DISTTORCH_FAST=0 switches the extra off; DISTTORCH_FAST=1 fetches kernels at the first large array.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache

# A quarter of a second to a second of NumPy's time.
_WORTHWHILE = 1 << 26

_done: dict[str, int] = {}


@cache
def setting() -> str:
    """Return "off", "at once" or "when worthwhile"."""
    return {"0": "off", "1": "at once"}.get(os.environ.get("DISTTORCH_FAST", ""), "when worthwhile")


@cache
def has_numba() -> bool:
    """Whether Numba is installed and wanted; it is not imported."""
    return setting() != "off" and importlib.util.find_spec("numba") is not None


def pays(kernel: str, n: int) -> bool:
    """Whether `kernel` should work on the `n` elements at hand; counts them if not yet."""
    if not has_numba():
        return False
    if setting() == "at once":
        return True
    total = _done.get(kernel, 0)
    if total >= _WORTHWHILE:
        return True
    _done[kernel] = total + n
    return False
