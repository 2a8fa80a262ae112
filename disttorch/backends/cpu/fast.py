"""What of the `fast` extra is in use in this process."""

from __future__ import annotations

from importlib import metadata

from disttorch.backends.cpu.jit import switch
from disttorch.backends.cpu.onednn import library


def in_use() -> dict[str, str]:
    """Return the state of "numba" and "onednn": a version and when it is used, or why it is not.

    Looking starts neither: Numba is not imported, oneDNN makes no threads.
    """
    if switch.setting() == "off":
        numba = "switched off by DISTTORCH_FAST=0"
    elif not switch.has_numba():
        numba = "not installed"
    else:
        numba = f"Numba {metadata.version('numba')}, {switch.setting()}"
    return {"numba": numba, "onednn": library.description()}
