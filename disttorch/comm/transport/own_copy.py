"""Shared memory that a forked child of a rank sees, and writes, for itself alone.

In the child a private mapping of the same pages takes the place of the shared one, so that it
changes nothing that ranks work on, as after any fork. That costs a system call and no copy: pages
are copied when the child writes to them, and until then show what the rank writes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import weakref
from functools import cache

import numpy as np

from disttorch.comm.transport import remap
from disttorch.comm.transport.segment import Segment

# By a descriptor of the memory, kept open for as long as that lives: whose it is, and its size.
_kept: dict[int, tuple[weakref.ref[mmap.mmap], int]] = {}


def keep_from_children(segment: Segment) -> None:
    """Let children have their own copy of a segment's memory, until that is given back."""
    _install_hook()
    fd = os.dup(segment.fd)
    _kept[fd] = weakref.ref(segment.memory), segment.nbytes
    weakref.finalize(segment.memory, _forget, fd).atexit = False


def _forget(fd: int) -> None:
    if _kept.pop(fd, None) is not None:
        os.close(fd)


@cache
def _install_hook() -> None:
    os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for fd, (owner, nbytes) in list(_kept.items()):
        memory = owner()  # None if another thread was giving it back: its place may be taken
        if memory is not None:
            address = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
            # If the kernel refuses, the pages are missing in the child: better than shared.
            with contextlib.suppress(OSError):
                remap.map_private(address, nbytes, fd)
        _forget(fd)  # for children of the child it is memory as any other
