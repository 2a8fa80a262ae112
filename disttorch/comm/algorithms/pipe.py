"""Chunks passed between ranks without keeping step: each rank may be a chunk ahead of the others.

The stages of two steps are divided into slots for chunks, behind a word that counts the chunks this
rank has put there. `mesh.sync` before and after keep other collectives out of the stages.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from disttorch.comm.algorithms.copying import PAGE, address_of
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.waiting import fence, spins_for

_WORD = np.dtype(np.int64)
_LINE = 64
# Chunk k is written while others read chunk k - 1, and one of them may still read chunk k - 2.
DEPTH = 4
# A wait with clock and watch costs as much as a few of these, and most are shorter.
_YIELDS = 20


class Pipe:
    """The slots of all ranks; made by all, after `open`: this is the step that compares headers.

    All slots begin at a page and are whole pages long.
    """

    def __init__(self, mesh: SharedMesh, dtype: np.dtype[Any], deadline: Deadline) -> None:
        self._mesh = mesh
        self._deadline = deadline
        self._counts = [word[:1].data for word in mesh.stages(_WORD)]
        self._own = self._counts[mesh.rank]
        self._own[0] = 0
        self._spins = spins_for(mesh.size) if mesh.eager else 0
        self._yields = _YIELDS if mesh.eager else 0
        first = _halves(mesh.stages(dtype))
        mesh.sync(deadline)
        # All have left the step before, so the stages of the next are free, too.
        pairs = zip(first, _halves(mesh.stages(dtype)), strict=True)
        self.slots = [[*one, *two] for one, two in pairs]
        self.width = min(slot.size for slot in self.slots[0])
        """How many items a chunk may have."""

    def post(self, n_chunks: int) -> None:
        """Tell the others that so many chunks of this rank have been put into its slots."""
        fence()
        self._own[0] = n_chunks

    def wait(self, n_chunks: int) -> None:
        """Wait until all ranks have posted so many; errors as of `mesh.sync`."""
        for count in self._counts:
            spins, yields = self._spins, self._yields
            while count[0] < n_chunks:
                if spins:
                    spins -= 1
                elif yields:
                    yields -= 1
                    os.sched_yield()
                else:
                    self._wait(count, n_chunks)
        fence()

    def _wait(self, count: memoryview, n_chunks: int) -> None:
        mesh = self._mesh
        mesh.wait_for(
            lambda: bool(count[0] >= n_chunks),
            self._deadline,
            lambda: [rank for rank, c in enumerate(self._counts) if c[0] < n_chunks],
            mesh.doing(),
            eager=mesh.eager,
        )


def _halves(stages: list[Array]) -> list[tuple[Array, Array]]:
    """Two slots of each stage, behind the word that counts."""
    # Mappings begin at pages, so this is the same in all of them.
    lead = _LINE + (-address_of(stages[0]) - _LINE) % PAGE
    n_pages = (stages[0].nbytes - lead) // 2 // PAGE
    first, width = lead // stages[0].itemsize, n_pages * PAGE // stages[0].itemsize
    return [
        (stage[first : first + width], stage[first + width : first + 2 * width]) for stage in stages
    ]
