"""Byte strings of any length, different on each rank, exchanged through the stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.transport.arena import Array

_BYTE = np.dtype(np.uint8)
_LENGTH = np.dtype(np.uint64)


def exchange(
    mesh: SharedMesh, payload: Sequence[memoryview], root: int | None, deadline: Deadline
) -> list[Array]:
    """The payloads of all ranks in order, each a flat uint8 array; if to a `root`, empty elsewhere.

    A payload is given in parts, which are copied straight into the stage. Lengths travel with the
    first chunk, so small payloads take one step.
    """
    source = _Source(payload)
    wanted = root is None or root == mesh.rank
    length = (0, _LENGTH.itemsize)
    width = mesh.stage_bytes - _LENGTH.itemsize
    incoming: list[Array] = []
    at, longest = 0, 1
    while at < longest:
        lengths = mesh.stages(_LENGTH)
        stages = [stage[_LENGTH.itemsize :] for stage in mesh.stages(_BYTE)]
        lengths[mesh.rank][0] = source.nbytes
        used = (0, _LENGTH.itemsize + min(width, max(0, source.nbytes - at)))
        source.fill(stages[mesh.rank][:width])
        mesh.send_only([[used if root in (None, peer) else length] for peer in range(mesh.size)])
        mesh.sync(deadline)
        if at == 0:
            sizes = [int(length[0]) for length in lengths]
            longest = max(sizes)
            incoming = [np.empty(size if wanted else 0, _BYTE) for size in sizes]
        for into, stage in zip(incoming, stages, strict=True):
            part = into[at : at + width]
            part[...] = stage[: part.size]
        at += width
    return incoming


class _Source:
    """Hands out the bytes of several buffers as if they were one."""

    def __init__(self, parts: Sequence[memoryview]) -> None:
        self.nbytes = sum(part.nbytes for part in parts)
        self._parts: Iterator[memoryview] = iter(parts)
        self._rest = np.empty(0, _BYTE)

    def fill(self, space: Array) -> None:
        while space.size:
            if not self._rest.size:
                part = next(self._parts, None)
                if part is None:
                    return
                self._rest = np.frombuffer(part, _BYTE) if part.nbytes else self._rest
                continue
            n = min(space.size, self._rest.size)
            space[:n] = self._rest[:n]
            space, self._rest = space[n:], self._rest[n:]
