"""Pages of an array that move, under the same addresses, into memory that other processes can map.

What a fork promises stays true: neither side sees what the other writes from then on. Before a fork
all regions become private mappings of their segments, which costs no copy, and are never shared
again. One that a collective works on just then stays shared; to the child it is a private mapping,
too. In a child that a C library forks, of which Python does not learn, the pages are missing.

Who writes late, such as a rank that was stopped until its peers gave up, writes into a segment and
not into memory that has found another use: the pages of an array that dies are taken out of the
segment first, and after an error they are copied out of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
import weakref
from functools import cache
from typing import Any

import numpy as np

from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.segment import PAGE_BYTES, Segment, check_available

# Linux's numbers that `mmap` does not have.
_MAP_FIXED, _MREMAP_MAYMOVE, _MREMAP_FIXED, _MADV_REMOVE, _MADV_DONTFORK = 0x10, 1, 2, 9, 10
_PRIVATE = mmap.MAP_PRIVATE | _MAP_FIXED
_SHARED = mmap.MAP_SHARED | mmap.MAP_POPULATE | _MAP_FIXED
_NEW = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_FAILED = ctypes.c_void_p(-1).value
# The calls with one array before its pages move. That costs as much as 15 of them then save: so
# little is lost if no more come, and little missed if thousands do.
_PATIENCE = 8
# A region takes a descriptor here and a mapping on each peer.
_MOST_REGIONS = 64
# Arrays that are waited for; past it, all begin anew.
_MOST_SPANS = 1024


class Region:
    """Pages, `nbytes` from the address `start` on, with a copy of them in a new segment.

    `users` are those who work on it just now, because of which a fork leaves it as it is.
    Raises SharedMemoryError if memory is short.
    """

    def __init__(self, start: int, nbytes: int, user: int) -> None:
        self.start = start
        self.nbytes = nbytes
        self.users = {user}
        self.shared = False
        self._spoilt = False
        check_available(nbytes)
        self.segment = Segment(nbytes, 0)
        self.segment.memory.close()
        try:
            source = memoryview((ctypes.c_ubyte * nbytes).from_address(start)).cast("B")
            written = 0
            while written < nbytes:
                written += os.pwrite(self.segment.fd, source[written:], written)
        except OSError as error:
            self.segment.close_fd()
            raise _short(nbytes, error) from None

    def use(self, user: int) -> bool:
        """Begin to work on it, until `leave`; False if it is shared no more, or not for long."""
        with _registry.lock:
            if not self.shared or self._spoilt:
                return False
            self.users.add(user)
            return True

    def leave(self, user: int, *, failed: bool) -> None:
        """End the work of `user`; after the last one the pages are copied out if any `failed`."""
        with _registry.lock:
            self.users.discard(user)
            self._spoilt = self._spoilt or failed
            # Not before: what the others' peers write to the segment would be lost.
            if self._spoilt and not self.users:
                self.copy_out()

    def share(self) -> None:
        """Let the segment take the place of the pages; SharedMemoryError if it cannot."""
        try:
            _map(self.start, self.nbytes, _SHARED, self.segment.fd)
        except OSError as error:
            self.segment.close_fd()
            raise _short(self.nbytes, error) from None
        _libc().madvise(self.start, self.nbytes, _MADV_DONTFORK)
        self.shared = True

    def make_private(self) -> None:
        """Share it no more, without a copy: what others still write to the segment may be seen."""
        self.shared = False
        map_private(self.start, self.nbytes, self.segment.fd)
        self.segment.close_fd()

    def copy_out(self) -> None:
        """Share it no more, and see nothing of what others still write to the segment."""
        with _registry.lock:
            if self.shared:
                try:
                    _replace_by_copy(self.start, self.nbytes)
                except OSError:
                    # Without memory for a copy, pages that are written from now on are safe.
                    map_private(self.start, self.nbytes, self.segment.fd)
                self.shared = False
                self.segment.close_fd()

    def vacate(self) -> None:
        """Leave empty pages of the usual kind; to be called when the array's memory is given up."""
        if self.shared:
            # Else the memory would stay for as long as a peer has it mapped.
            _libc().madvise(self.start, self.nbytes, _MADV_REMOVE)
        _map(self.start, self.nbytes, _NEW | _MAP_FIXED, -1)
        self.shared = False
        self.segment.close_fd()


class _Span:
    """The whole pages of an array that was asked for, moved or not yet."""

    def __init__(self, owner: Array) -> None:
        self.owner = weakref.ref(owner)
        self.patience = self.n_left = _PATIENCE
        self.region: Region | None = None

    def before_fork(self) -> None:
        """Make its region private, and wait longer before the next one: forks may come again."""
        if self.region is not None and self.region.shared and not self.region.users:
            self.region.make_private()
            self.patience *= 2
            self.n_left = self.patience


class _Registry:
    """All spans by their first and last address; `moved` are those that have or had a region."""

    def __init__(self) -> None:
        # A signal's handler may fork, or reduce, in the thread that holds it.
        self.lock = threading.RLock()
        self.spans: dict[tuple[int, int], _Span] = {}
        self.moved: dict[tuple[int, int], _Span] = {}

    def span(self, key: tuple[int, int], owner: Array) -> _Span:
        """The span of these pages, new if need be; then all that have not moved may begin anew."""
        with self.lock:
            span = self.spans.get(key)
            if span is None:
                if len(self.spans) >= _MOST_SPANS:
                    self.spans = dict(self.moved)
                span = self.spans[key] = _Span(owner)
                # NumPy also resizes no array that is referred to so: its memory stays where it is.
                weakref.finalize(owner, self.forget, key).atexit = False
            return span

    def before_fork(self) -> None:
        """Share nothing with the child but what is in use; all stays so until `after_fork`."""
        self.lock.acquire()
        for span in tuple(self.moved.values()):
            # If the kernel refuses, the pages are missing in the child: better than shared.
            with contextlib.suppress(OSError):
                span.before_fork()

    def after_fork(self) -> None:
        """In the parent."""
        self.lock.release()

    def begin_child(self) -> None:
        """Share nothing with the parent."""
        self.lock = threading.RLock()
        for span in tuple(self.moved.values()):
            if span.region is not None and span.region.shared:
                span.region.make_private()
                span.region.users.clear()

    def forget(self, key: tuple[int, int]) -> None:
        """The array whose pages these are dies."""
        # Not between two steps of a fork in another thread: it would map over memory given back.
        with self.lock:
            self.spans.pop(key, None)
            span = self.moved.pop(key, None)
            if span is not None and span.region is not None:
                span.region.vacate()


_registry = _Registry()


def find(flat: Array) -> Region | None:
    """The shared region in which the whole pages of `flat`, contiguous, lie."""
    start, end = whole_pages(flat)
    exact = _registry.moved.get((start, end))
    for span in (exact,) if exact is not None else tuple(_registry.moved.values()):
        region = span.region
        if region is not None and region.shared and region.start <= start:
            if end <= region.start + region.nbytes and span.owner() is _owner(flat):
                return region
    return None


def wanted(flat: Array) -> bool:
    """Whether the pages of `flat` should move; to be asked at each call that would gain by it."""
    owner = _owner(flat)
    if owner is None:
        return False
    key = whole_pages(flat)
    span = _registry.span(key, owner)
    span.n_left -= 1
    return span.n_left < 0 and _is_free(*key)


def move(flat: Array, user: int) -> Region:
    """Move the whole pages of a `wanted` array; SharedMemoryError if memory is short.

    `user` is the first of the region's users. Nobody else may write to `flat` meanwhile.
    """
    _install_hooks()
    start, end = key = whole_pages(flat)
    owner = _owner(flat)
    assert owner is not None
    region = Region(start, end - start, user)
    # A fork comes before or after. If one has just made the region before private, without saying
    # so yet, that must come first, or it would take the place of this one.
    with _registry.lock:
        region.share()
        span = _registry.moved[key] = _registry.span(key, owner)
        span.region = region
    return region


def whole_pages(flat: Array) -> tuple[int, int]:
    """Where the first whole page of a contiguous array begins and its last one ends."""
    address = flat.__array_interface__["data"][0]
    end = (address + flat.nbytes) // PAGE_BYTES * PAGE_BYTES
    return -(-address // PAGE_BYTES) * PAGE_BYTES, end


def _owner(array: Array) -> Array | None:
    """The array whose memory it is, if NumPy allocated that and gives it back."""
    owner: Any = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner if owner.base is None and owner.flags.owndata else None


def _is_free(start: int, end: int) -> bool:
    n_regions = 0
    for span in tuple(_registry.moved.values()):
        region = span.region
        if region is not None and region.shared:
            n_regions += 1
            if region.start < end and start < region.start + region.nbytes:
                return False
    return n_regions < _MOST_REGIONS


@cache
def _install_hooks() -> None:
    os.register_at_fork(
        before=_registry.before_fork,
        after_in_parent=_registry.after_fork,
        after_in_child=_registry.begin_child,
    )


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.mmap.argtypes = (pointer, size, number, number, number, ctypes.c_long)
    libc.mremap.argtypes = (pointer, size, size, number, pointer)
    libc.madvise.argtypes = (pointer, size, number)
    libc.munmap.argtypes = (pointer, size)
    libc.mmap.restype = libc.mremap.restype = pointer
    return libc


def map_private(start: int, nbytes: int, fd: int) -> None:
    """Let `fd`, seen but not written to, take the place of pages; OSError if it cannot."""
    _map(start, nbytes, _PRIVATE, fd)


def _replace_by_copy(start: int, nbytes: int) -> None:
    copy = _map(None, nbytes, _NEW, -1)
    ctypes.memmove(copy, start, nbytes)
    flags = _MREMAP_MAYMOVE | _MREMAP_FIXED
    try:
        _checked(_libc().mremap(copy, nbytes, nbytes, flags, start))
    except OSError:
        _libc().munmap(copy, nbytes)
        raise


def _map(start: int | None, nbytes: int, flags: int, fd: int) -> int:
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    return _checked(_libc().mmap(start, nbytes, protection, flags, fd, 0))


def _checked(address: int) -> int:
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return address


def _short(nbytes: int, error: OSError) -> SharedMemoryError:
    return SharedMemoryError(
        f"cannot move {nbytes} bytes of an array into shared memory: {error.strerror}"
    )
