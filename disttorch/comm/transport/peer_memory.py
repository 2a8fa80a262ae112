"""Reading the memory of another process of this host: one copy, made by the kernel.

Allowed to processes of one user unless a security module (Yama, seccomp) forbids it.
"""

from __future__ import annotations

import ctypes
import errno
import os

from disttorch.comm.transport.arena import Array

# The kernel copies at most 2 GiB a call.
_MAX_BYTES = 1 << 30


class _Extent(ctypes.Structure):
    """The C library's iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_read = getattr(ctypes.CDLL(None, use_errno=True), "process_vm_readv", None)
if _read is not None:
    _extents = ctypes.POINTER(_Extent)
    _read.argtypes = (
        ctypes.c_int, _extents, ctypes.c_ulong, _extents, ctypes.c_ulong, ctypes.c_ulong,
    )  # fmt: skip
    _read.restype = ctypes.c_ssize_t


def read_memory(pid: int, address: int, into: Array) -> None:
    """Fill `into`, a contiguous array, from `address` on in a process.

    Raises OSError if the process is gone, the memory is not mapped, or it is forbidden.
    """
    if _read is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    at, left = into.__array_interface__["data"][0], into.nbytes
    while left:
        n = min(left, _MAX_BYTES)
        n = _read(pid, _Extent(at, n), 1, _Extent(address, n), 1, 0)
        if n <= 0:
            number = ctypes.get_errno() or errno.EFAULT
            raise OSError(number, os.strerror(number))
        at, address, left = at + n, address + n, left - n
