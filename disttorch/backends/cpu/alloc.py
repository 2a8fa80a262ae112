"""Keep big freed blocks in the process: page faults on fresh memory halve every large operation.

glibc hands blocks above 128 KB back to the kernel at once, so that each large result faults all
its pages in again. Two `mallopt` settings keep such memory in the heap: `x + x` on 10 M floats
took 16.5 ms with the defaults and 8.5 ms with these (DESIGN.md section 4). Elsewhere than on
glibc nothing is done; DISTTORCH_KEEP_FREED_MEMORY=0 switches it off.
"""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_NBYTES = 1 << 30  # blocks up to this size come from the heap, and stay there


def keep_freed_memory() -> bool:
    """Let the C library reuse freed blocks up to 1 GiB; return whether it took the settings."""
    if os.environ.get("DISTTORCH_KEEP_FREED_MEMORY") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [
        mallopt(_M_MMAP_THRESHOLD, _KEEP_NBYTES),
        mallopt(_M_TRIM_THRESHOLD, _KEEP_NBYTES),
    ]
    return all(accepted)
