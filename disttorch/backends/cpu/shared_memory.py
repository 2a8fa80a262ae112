"""Memory that processes share: for `share_memory_`, also across `spawn`, queues and pipes.

Small arrays lie together in blocks, since there may be thousands of them. An array in a block that
`multiprocessing` sends to another process travels as its place there; of each block a message holds
one descriptor, however many arrays it has, until it has arrived.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from typing import Any

import numpy as np

from disttorch import linux

_BLOCK_NBYTES = 16 << 20  # pages cost nothing before they are written to
_ALIGN_NBYTES = 64


class Block(mmap.mmap):
    """A mapped file without a name; `fd` is its descriptor, `identity` what the kernel knows of it.

    Both stay as long as an array in it lives.
    """

    fd: int
    identity: tuple[int, int]

    @classmethod
    def of_file(cls, fd: int, nbytes: int | None = None) -> Block:
        """Map all of a file, made so long first if `nbytes` is given; OSError if it cannot.

        The descriptor is the block's from now on.
        """
        try:
            if nbytes is not None:
                os.ftruncate(fd, nbytes)
            status = os.fstat(fd)
            block = cls(fd, status.st_size)
        except OSError:
            os.close(fd)
            raise
        block.fd, block.identity = fd, (status.st_dev, status.st_ino)
        weakref.finalize(block, os.close, fd).atexit = False
        _known[block.identity] = block
        _teach_multiprocessing()  # whoever has one may send it on
        return block


_known: weakref.WeakValueDictionary[tuple[int, int], Block] = weakref.WeakValueDictionary()


class _Room:
    """Where the next small array goes; a forked process begins a block of its own."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Without a block. After a fork the lock, too, is another: it may be held for ever."""
        self.lock = threading.Lock()
        self.block: weakref.ref[Block] | None = None
        self.n_used = 0


_room = _Room()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_room.begin)


def empty(nbytes: int) -> np.ndarray:
    """Bytes in memory that is shared with the processes they are sent to, and those forked."""
    if not linux.has_memfd():
        return np.frombuffer(mmap.mmap(-1, max(nbytes, 1)), np.uint8, nbytes)  # by fork only
    if nbytes >= _BLOCK_NBYTES // 4:
        return np.frombuffer(_new_block(nbytes), np.uint8, nbytes)
    with _room.lock:
        block = _room.block() if _room.block is not None else None
        if block is None or _room.n_used + nbytes > len(block):
            block, _room.n_used = _new_block(_BLOCK_NBYTES), 0
            _room.block = weakref.ref(block)
        start = _room.n_used
        _room.n_used += -(-max(nbytes, 1) // _ALIGN_NBYTES) * _ALIGN_NBYTES
    return np.frombuffer(block, np.uint8, nbytes, start)


def _new_block(nbytes: int) -> Block:
    fd = linux.memfd_create("disttorch-shared")
    return Block.of_file(fd, nbytes)


def block_of(array: np.ndarray) -> Block | None:
    """The block that an array lies in, if any."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    owner = getattr(owner, "obj", owner)
    return owner if isinstance(owner, Block) else None


def reduce_array(array: np.ndarray) -> Any:
    """What `multiprocessing` sends of an array: its place in a block, else its values."""
    block = block_of(array)
    if block is None:
        return array.__reduce__()
    start = np.frombuffer(block, np.uint8).__array_interface__["data"][0]
    offset = array.__array_interface__["data"][0] - start
    return np.ndarray, (array.shape, array.dtype, block, offset, array.strides)


def reduce_block(block: Block) -> Any:
    """What `multiprocessing` sends of a block: once in a message, as pickles do with any object."""
    return _arrived, (_duplicate(block), block.identity)


def _arrived(duplicate: Any, identity: tuple[int, int]) -> Block:
    """Undo `reduce_block`, in the process that the block was sent to."""
    fd = duplicate.detach()
    block = _known.get(identity)
    if block is None:
        return Block.of_file(fd)
    if fd != block.fd:
        os.close(fd)
    return block


def _duplicate(block: Block) -> Any:
    """What gives another process the descriptor, and keeps it until then."""
    from multiprocessing import context, reduction  # noqa: PLC0415 - it is loaded already

    starting: Any = context.get_spawning_popen()
    if starting is None:
        return reduction.DupFd(block.fd)
    # A process is started with few descriptors, and with none twice.
    given: dict[tuple[int, int], Any] = starting.__dict__.setdefault("_disttorch_blocks", {})
    if block.identity not in given:
        given[block.identity] = reduction.DupFd(block.fd)
    return given[block.identity]


def _teach_multiprocessing() -> None:
    """Let it send blocks, and arrays in blocks, as what they are; others as before."""
    from multiprocessing.reduction import ForkingPickler  # noqa: PLC0415 - only who shares memory

    ForkingPickler.register(np.ndarray, reduce_array)
    ForkingPickler.register(Block, reduce_block)
