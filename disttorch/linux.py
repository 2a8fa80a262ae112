"""Linux calls that Python has only where it was built against a C library that has them.

conda's Python, and uv's until 2026, were built against glibc 2.17: `os.memfd_create` and
`os.pidfd_open` are missing there, although the kernel and often the C library have both.
"""

from __future__ import annotations

import errno
import os
import sys

MFD_CLOEXEC = 1
MFD_ALLOW_SEALING = 2
F_ADD_SEALS = 1033
F_SEAL_SHRINK = 2
F_SEAL_GROW = 4
# One number on all machines, since the call is newer than the kernel's common table.
_SYS_PIDFD_OPEN = 434


def has_memfd() -> bool:
    """Whether this system can make anonymous files at all."""
    return hasattr(os, "memfd_create") or _has("memfd_create")


def memfd_create(name: str, flags: int = MFD_CLOEXEC) -> int:
    """The descriptor of a new anonymous file in memory; `os.memfd_create` where there is one.

    Raises OSError, with ENOSYS on a system without such files.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, flags)
    return _call("memfd_create", os.fsencode(name), flags)


def pidfd_open(pid: int) -> int:
    """A descriptor that can be read once a process has ended; `os.pidfd_open` where there is one.

    Raises OSError, with ENOSYS on a system without such descriptors.
    """
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return _call("syscall", _SYS_PIDFD_OPEN, pid, 0)


def _has(function: str) -> bool:
    import ctypes  # noqa: PLC0415 - where Python has the call itself, nothing needs it

    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), function)


def _call(function: str, *arguments: int | bytes) -> int:
    if not _has(function):
        raise OSError(errno.ENOSYS, f"{os.strerror(errno.ENOSYS)} on {sys.platform}")
    import ctypes  # noqa: PLC0415 - the same

    call = getattr(ctypes.CDLL(None, use_errno=True), function)
    # `syscall` takes longs; a descriptor, or -1, is an int of either function.
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(call(*given))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
