"""Anonymous shared memory on memfd: peers open it through /proc, so nothing is left to unlink."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sys
import weakref

from disttorch import linux
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.transport.process import ProcessId

PAGE_BYTES = mmap.PAGESIZE
_NAME = "disttorch"
# Below this a look at the free memory costs more than it can tell.
_CHECK_ABOVE_BYTES = 16 << 20
# Python < 3.13 keeps a duplicate of the descriptor for as long as the mapping lives.
_MMAP_OPTIONS = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class Segment:
    """`nbytes` of zeroed memory that other processes can map; the descriptor is `fd`.

    The first `reserved_nbytes` are allocated at once, so that a full machine is an error here and
    not a SIGBUS at the first touch; `reserve` allocates more. The size is sealed.
    Raises SharedMemoryError if there is not enough memory.
    """

    def __init__(self, nbytes: int, reserved_nbytes: int) -> None:
        self.nbytes = max(nbytes, 1)
        check_available(reserved_nbytes)
        try:
            self.fd = linux.memfd_create(_NAME, linux.MFD_CLOEXEC | linux.MFD_ALLOW_SEALING)
        except OSError as error:
            raise SharedMemoryError(
                f"cannot create shared memory: {error.strerror}; ranks need Linux, from 3.17 on"
            ) from None
        # Also closes it when a group is dropped without being closed.
        self.close_fd = weakref.finalize(self, os.close, self.fd)
        """Close the descriptor once all peers have mapped the segment; mappings stay valid."""
        try:
            os.ftruncate(self.fd, self.nbytes)
            fcntl.fcntl(self.fd, linux.F_ADD_SEALS, linux.F_SEAL_SHRINK | linux.F_SEAL_GROW)
            self.reserve(0, reserved_nbytes)
            self.memory = _map(self.fd, self.nbytes, populate=False)
        except (OSError, SharedMemoryError) as error:
            self.close_fd()
            raise SharedMemoryError(f"no shared memory of {nbytes} bytes: {error}") from None

    def reserve(self, offset: int, nbytes: int) -> None:
        """Allocate pages now; raises SharedMemoryError if memory is short."""
        if nbytes == 0:
            return
        try:
            os.posix_fallocate(self.fd, offset, nbytes)
        except OSError as error:
            raise SharedMemoryError(
                f"cannot allocate {nbytes} bytes of shared memory: {error.strerror}"
            ) from None


def map_peer(process: ProcessId, fd: int, nbytes: int, *, populate: bool = False) -> mmap.mmap:
    """Map the segment that `process` holds as its descriptor `fd`.

    Raises SharedMemoryError if the process is gone or the descriptor is not such a segment.
    """
    path = f"/proc/{process.pid}/fd/{fd}"
    try:
        own_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SharedMemoryError(
            f"cannot open the shared memory of process {process.pid}: {error.strerror}; ranks of "
            f"one host must run as the same user and see each other in /proc"
        ) from None
    try:
        # Checked after opening: a process that took over the number has other files there.
        name = os.readlink(f"/proc/self/fd/{own_fd}")
        if not name.startswith(f"/memfd:{_NAME}") or os.fstat(own_fd).st_size != max(nbytes, 1):
            raise SharedMemoryError(f"{path} is not the segment announced, but {name}")
        return _map(own_fd, max(nbytes, 1), populate=populate)
    except OSError as error:
        raise SharedMemoryError(f"cannot map {path}: {error.strerror}") from None
    finally:
        os.close(own_fd)


def _map(fd: int, nbytes: int, *, populate: bool) -> mmap.mmap:
    flags = mmap.MAP_SHARED | (mmap.MAP_POPULATE if populate else 0)
    return mmap.mmap(fd, nbytes, flags, **_MMAP_OPTIONS)


def check_available(nbytes: int) -> None:
    """Raise SharedMemoryError if so much memory is not to be had."""
    # Allocating more than there is would not fail but wake the kernel's OOM killer.
    if nbytes < _CHECK_ABOVE_BYTES:
        return
    available = _available_nbytes()
    if nbytes > available:
        raise SharedMemoryError(
            f"{nbytes} bytes of shared memory wanted, {available} bytes of memory are available"
        )


def _available_nbytes() -> int:
    free = [sys.maxsize]
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as lines:
        free += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):
        with (
            open("/sys/fs/cgroup/memory.max") as limit,
            open("/sys/fs/cgroup/memory.current") as used,
        ):
            free.append(int(limit.read()) - int(used.read()))
    return min(free)
