"""The memory through which the ranks of a group on one host talk: one segment a rank.

A rank writes only its own segment and reads the others':

    offset 0      flag: the last step this rank has reached
    64            condition, and where its latest header lies
    128           why it left, as text
    1024          for each rank: bytes sent to it; then for each rank: bytes received from it
    page          two slots, used in turn by steps: header, then staging space
    page          for each rank: a ring of messages to it, allocated when first used
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from disttorch.comm.header import HEADER_BYTES
from disttorch.comm.transport.segment import PAGE_BYTES, Segment
from disttorch.comm.transport.waiting import fence

Array = np.ndarray[Any, np.dtype[Any]]
Words = memoryview

_LINE = 64
_STATUS_AT = 64
_TEXT_AT = 128
_MAX_TEXT = 1024 - _TEXT_AT - 2
_COUNTERS_AT = 1024


class Condition(IntEnum):
    """What a rank says about itself; anything but ACTIVE means that it takes part no more."""

    ACTIVE = 0
    CLOSED = 1
    EXITED = 2
    RAISED = 3
    GAVE_UP = 4


@dataclass(frozen=True)
class Layout:
    """Where things lie in the segments of a group; all in bytes. Must be equal on all ranks."""

    n_ranks: int
    stage_bytes: int
    ring_bytes: int

    @property
    def slots_at(self) -> int:
        """Offset of the first slot."""
        return _pages(_COUNTERS_AT + 2 * self.n_ranks * _LINE)

    @property
    def slot_bytes(self) -> int:
        """Size of a slot: header and staging space."""
        return HEADER_BYTES + self.stage_bytes

    @property
    def rings_at(self) -> int:
        """Offset of the first ring; everything before it is allocated at once."""
        return _pages(self.slots_at + 2 * self.slot_bytes)

    @property
    def nbytes(self) -> int:
        """Size of a segment."""
        return self.rings_at + self.n_ranks * self.ring_bytes

    def ring_at(self, rank: int) -> int:
        """Offset of the ring of messages to `rank`."""
        return self.rings_at + rank * self.ring_bytes


class Page:
    """One rank's segment, seen by its owner or by a peer."""

    def __init__(self, memory: mmap.mmap, layout: Layout) -> None:
        view = memoryview(memory)
        self._layout = layout
        self._memory = view
        self.flag: Words = view[:8].cast("Q")
        self._status: Words = view[_STATUS_AT : _STATUS_AT + 16].cast("Q")
        slots = [layout.slots_at + i * layout.slot_bytes for i in range(2)]
        self.headers = [view[at : at + HEADER_BYTES] for at in slots]
        self.header_words: list[Words] = [header.cast("Q") for header in self.headers]
        self._stages = [view[at + HEADER_BYTES : at + layout.slot_bytes] for at in slots]

    def stage(self, slot: int, dtype: np.dtype[Any]) -> Array:
        """The staging space of a slot as a flat array."""
        n_items = self._layout.stage_bytes // dtype.itemsize
        return np.frombuffer(self._stages[slot], np.uint8, n_items * dtype.itemsize).view(dtype)

    def stage_bytes_of(self, slot: int) -> memoryview:
        """The staging space of a slot as bytes."""
        return self._stages[slot]

    def close(self) -> None:
        """Give back what the page holds: nothing."""

    def sent(self, rank: int) -> Words:
        """The word that counts the bytes this rank has put into its ring to `rank`."""
        return self._counter(rank)

    def received(self, rank: int) -> Words:
        """The word that counts the bytes this rank has taken from `rank`'s ring."""
        return self._counter(self._layout.n_ranks + rank)

    def ring(self, rank: int) -> memoryview:
        """The ring of messages from this rank to `rank`."""
        at = self._layout.ring_at(rank)
        return self._memory[at : at + self._layout.ring_bytes]

    def announce(self, sequence: int, slot: int) -> None:
        """Say in which slot the header of the latest collective lies."""
        self._status[1] = sequence << 1 | slot

    def latest(self) -> tuple[int, memoryview] | None:
        """Number and header of this rank's latest collective, None before the first."""
        word = self._status[1]
        return (word >> 1, self.headers[word & 1]) if word else None

    def leave(self, condition: Condition, text: str) -> None:
        """Say that this rank takes part no more, and why."""
        encoded = text.encode(errors="backslashreplace")[:_MAX_TEXT]
        self._memory[_TEXT_AT + 2 : _TEXT_AT + 2 + len(encoded)] = encoded
        self._memory[_TEXT_AT : _TEXT_AT + 2] = len(encoded).to_bytes(2, "little")
        fence()
        self._status[0] = condition

    def condition(self) -> tuple[Condition, str]:
        """What this rank says about itself, with the reason as text."""
        condition = Condition(self._status[0])
        fence()
        n_text = int.from_bytes(self._memory[_TEXT_AT : _TEXT_AT + 2], "little")
        text = bytes(self._memory[_TEXT_AT + 2 : _TEXT_AT + 2 + n_text])
        return condition, text.decode(errors="replace")

    def _counter(self, index: int) -> Words:
        at = _COUNTERS_AT + index * _LINE
        return self._memory[at : at + 8].cast("Q")


class OwnPage(Page):
    """A rank's own page, with the segment to allocate rings in."""

    def __init__(self, segment: Segment, layout: Layout) -> None:
        super().__init__(segment.memory, layout)
        self._segment = segment
        self._reserved: set[int] = set()

    def reserve_ring(self, rank: int) -> None:
        """Allocate the ring to `rank`; raises SharedMemoryError if memory is short."""
        if rank not in self._reserved:
            self._segment.reserve(self._layout.ring_at(rank), self._layout.ring_bytes)
            self._reserved.add(rank)

    def close(self) -> None:
        """Close the segment's descriptor."""
        self._segment.close_fd()


def _pages(nbytes: int) -> int:
    return -(-nbytes // PAGE_BYTES) * PAGE_BYTES
