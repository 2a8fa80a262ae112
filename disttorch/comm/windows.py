"""Memory that all ranks of a group can write: where arrays live that are reduced without copies."""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from disttorch.comm.transport.arena import Array

# A token is the window's number and the array's offset in it; 0 means no window.
_OFFSET_BITS = 44


@dataclass(frozen=True)
class _Window:
    number: int
    address: int
    nbytes: int
    owner: weakref.ref[mmap.mmap]
    memories: tuple[Array | None, ...]


@dataclass(frozen=True)
class Place:
    """Where an array lies in a window; ranks that chose the same place have equal tokens."""

    token: int
    offset: int
    window: _Window

    def arrays(self, own: Array) -> list[Array]:
        """The flat arrays at this place in the memories of all ranks, `own` being this rank's."""
        end = self.offset + own.nbytes
        return [
            own if memory is None else memory[self.offset : end].view(own.dtype)
            for memory in self.window.memories
        ]


class Windows:
    """The windows of one group; a window is forgotten when its last array on this rank dies.

    `n_made` counts all that were ever added and so is equal on all ranks.
    """

    def __init__(self) -> None:
        self._windows: list[_Window] = []
        self.n_made = 0

    def add(self, own: mmap.mmap, memories: Sequence[Array | None]) -> Array:
        """Register a new window and return its memory as a flat uint8 array.

        `memories` are those of all ranks, in the order of calls that is the same on all of them,
        with None for this rank's, so that only the user keeps that alive.
        """
        array = np.frombuffer(own, np.uint8)
        address = array.__array_interface__["data"][0]
        window = _Window(self.n_made, address, array.nbytes, weakref.ref(own), tuple(memories))
        self.n_made += 1
        self._windows.append(window)
        return array

    def find(self, flat: Array) -> Place | None:
        """Where a contiguous array lies, or None if it is in no window."""
        address = flat.__array_interface__["data"][0]
        for window in list(self._windows):
            offset = address - window.address
            if window.owner() is None:
                self._windows.remove(window)
            elif 0 <= offset <= window.nbytes - flat.nbytes:
                return Place((window.number + 1) << _OFFSET_BITS | offset, offset, window)
        return None

    def clear(self) -> None:
        """Forget all windows; arrays that the user holds stay valid."""
        self._windows.clear()
