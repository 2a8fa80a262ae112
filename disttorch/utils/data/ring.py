"""A fixed ring of slots in shared memory: workers write batches there, tensors are views of them.

The memory has no name (memfd) and vanishes with the last process that maps it. A slot is lent out
with the batch's arrays and comes back when the last of them dies.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.comm.transport.process import ProcessId
from disttorch.comm.transport.segment import Segment, check_available, map_peer

_READ_AROUND_NBYTES = 64 << 10
ALIGNMENT = 64  # bytes; a cache line, and what vector loads like


def aligned(nbytes: int) -> int:
    """Round up to the alignment of arrays within a slot."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class RingAddress:
    """What a worker needs to map the ring."""

    owner: ProcessId
    fd: int
    n_slots: int
    slot_nbytes: int


class Slots:
    """The numbers of the slots, handed out and given back; known before their memory is."""

    def __init__(self, n_slots: int) -> None:
        self.n_slots = n_slots
        self.free = deque(range(n_slots))
        self.leases: dict[int, weakref.ref[Any]] = {}

    @property
    def n_lent(self) -> int:
        """How many slots are behind arrays that live outside the loader."""
        return len(self.leases)

    def add(self, n_slots: int) -> None:
        """Have more slots, before their memory is made."""
        self.free.extend(range(self.n_slots, self.n_slots + n_slots))
        self.n_slots += n_slots

    def take(self) -> int:
        """Return a free slot; IndexError if there is none."""
        return self.free.popleft()

    def give_back(self, slot: int) -> None:
        """Make a slot free again; it is the next to be taken, as its memory is warm."""
        self.free.appendleft(slot)


class Ring:
    """The memory of the slots, on the loader's side: `nbytes` in all.

    The descriptor goes with it; the memory lives on behind arrays that are still in use.
    Raises SharedMemoryError if the memory is not to be had.
    """

    def __init__(self, slots: Slots, slot_nbytes: int) -> None:
        self._slots = slots
        self.slot_nbytes = max(1, -(-slot_nbytes // mmap.PAGESIZE)) * mmap.PAGESIZE
        self.nbytes = total = slots.n_slots * self.slot_nbytes
        # Looked for but not allocated: the workers do that, each at the slots it writes first.
        check_available(total)
        self._segment = Segment(total, 0)
        self._slot_type = ctypes.c_char * self.slot_nbytes

    @property
    def address(self) -> RingAddress:
        """Where workers find the memory."""
        return RingAddress(
            ProcessId.current(), self._segment.fd, self._slots.n_slots, self.slot_nbytes
        )

    def peek(self, slot: int) -> memoryview:
        """The slot's bytes, for copying out at once."""
        start = slot * self.slot_nbytes
        return memoryview(self._segment.memory)[start : start + self.slot_nbytes]

    def lend(self, slot: int) -> Any:
        """Return a buffer over the slot; the slot is free again when nothing refers to it."""
        buffer = self._slot_type.from_buffer(self._segment.memory, slot * self.slot_nbytes)
        free, leases = self._slots.free, self._slots.leases

        def returned(_: Any) -> None:
            del leases[slot]
            free.appendleft(slot)

        leases[slot] = weakref.ref(buffer, returned)
        return buffer


class RingWriter:
    """A worker's side: the slots' memory. Raises SharedMemoryError if it cannot be mapped."""

    def __init__(self, address: RingAddress) -> None:
        nbytes = address.n_slots * address.slot_nbytes
        self.slot_nbytes = address.slot_nbytes
        self._memory = map_peer(address.owner, address.fd, nbytes)
        self._mapped: set[int] = set()

    def slot(self, index: int) -> memoryview:
        """The writable bytes of a slot."""
        start = index * self.slot_nbytes
        return memoryview(self._memory)[start : start + self.slot_nbytes]

    def map_pages(self, index: int, arrays: Sequence[np.ndarray]) -> None:
        """Read here and there in arrays that are about to be written, the first time in a slot.

        The kernel maps pages that exist many at a time for who reads, one at a time for who writes.
        """
        if index not in self._mapped:
            self._mapped.add(index)
            for array in arrays:
                array.reshape(-1).view(np.uint8)[::_READ_AROUND_NBYTES].max(initial=0)
