"""Pieces between all pairs of ranks of one host, chunk by chunk, without keeping step.

P ranks, n bytes an array in P pieces: each rank copies n / P from its input to its output and
n (P - 1) / P into and out of the stages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from disttorch.comm.algorithms.copying import address_of, copy
from disttorch.comm.algorithms.pipe import DEPTH, Pipe
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.transport.arena import Array

_BYTE = np.dtype(np.uint8)
_LINE = 64


def streamed(
    mesh: SharedMesh,
    sent: Sequence[Array],
    received: Sequence[Array],
    longest_nbytes: int,
    deadline: Deadline,
) -> None:
    """Copy `sent[r]` of rank s to `received[s]` of rank r; flat, at most so many bytes each.

    For two or more ranks. Chunk k of all pieces is read before chunk k - 1 of any is written, so
    a rank may receive over what it sends, if pieces overlap from their beginnings on.
    """
    pipe = Pipe(mesh, _BYTE, deadline)
    rank, size = mesh.rank, mesh.size
    sent, received = ([piece.view(_BYTE) for piece in pieces] for pieces in (sent, received))
    width = pipe.width // (size - 1)
    width -= width % _LINE
    # In a slot come the pieces for the next rank, the one after that, and so on.
    others = [(i * width, (rank + 1 + i) % size) for i in range(size - 1)]
    sources = [((size - 2 - i) * width, other) for i, (_, other) in enumerate(others)]
    stays = address_of(received[rank]) == address_of(sent[rank])
    for k in range(-(-longest_nbytes // width) + 1):
        where, before = (slice(i * width, (i + 1) * width) for i in (k, max(k - 1, 0)))
        slot = pipe.slots[rank][k % DEPTH]
        for at, other in others:
            part = sent[other][where]
            copy(slot[at : at + part.size], part)
        pipe.post(k + 1)
        if not stays:
            copy(received[rank][where], sent[rank][where])
        if k > 0:
            pipe.wait(k)
            for at, other in sources:
                out = received[other][before]
                copy(out, pipe.slots[other][(k - 1) % DEPTH][at : at + out.size])
    mesh.sync(deadline)
