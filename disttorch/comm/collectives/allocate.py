"""Memory that all ranks of a group can write, for arrays that are reduced without copies."""

from __future__ import annotations

import mmap

import numpy as np

from disttorch.comm.algorithms import movement
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.header import EncodedCall
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.own_copy import keep_from_children
from disttorch.comm.transport.segment import Segment, check_available, map_peer


def allocate(context: Context, results: list[Array], nbytes: int) -> Run:
    """Put `nbytes` of zeroed, page-aligned memory into `results` as a flat uint8 array.

    Raises SharedMemoryError, on all ranks alike, if one of them cannot allocate or map it.
    """
    if nbytes < 0:
        raise ValueError(f"nbytes must be at least 0, got {nbytes}")
    # Both are found here, on the caller's thread, because they record the caller's line.
    calls = [context.calls.find(name, shape=(nbytes,)) for name in ("allocate", "allocate (map)")]

    def run(deadline: Deadline) -> None:
        if not context.mesh.shared:
            results[:] = [_allocate_apart(context, calls[0], nbytes, deadline)[:nbytes]]
            return
        results[:] = [_allocate(context, calls, nbytes, deadline)[:nbytes]]

    return run


def _allocate_apart(context: Context, call: EncodedCall, nbytes: int, deadline: Deadline) -> Array:
    """Memory of this rank alone: ranks that cannot see it reduce it as any other array."""
    problem, memory = "", None
    try:
        check_available(nbytes)
        memory = mmap.mmap(-1, max(nbytes, 1))
    except (OSError, SharedMemoryError) as error:
        problem = f"no memory of {nbytes} bytes: {error}"
    agree(context, call, problem, 0, deadline)
    assert memory is not None
    return np.frombuffer(memory, np.uint8)


def _allocate(context: Context, calls: list[EncodedCall], nbytes: int, deadline: Deadline) -> Array:
    problem, segment = "", None
    try:
        segment = Segment(nbytes, nbytes)
    except SharedMemoryError as error:
        problem = str(error)
    try:
        fds = agree(context, calls[0], problem, segment.fd if segment else -1, deadline)
        assert segment is not None
        memories: list[Array | None] = [None] * context.mesh.size
        for rank, (process, fd) in enumerate(zip(context.processes, fds, strict=True)):
            if rank != context.mesh.rank and not problem:
                try:
                    memory = map_peer(process, fd, segment.nbytes, populate=True)
                    memories[rank] = np.frombuffer(memory, np.uint8)
                except SharedMemoryError as error:
                    context.mesh.raise_if_left([rank])
                    problem = str(error)
        agree(context, calls[1], problem, 0, deadline)
        keep_from_children(segment)
    finally:
        if segment is not None:
            segment.close_fd()
    return context.windows.add(segment.memory, memories)


def agree(
    context: Context, call: EncodedCall, problem: str, value: int, deadline: Deadline
) -> list[int]:
    """Exchange a number, or raise SharedMemoryError on all ranks if one of them has a problem."""
    mesh = context.mesh
    record = np.zeros(256, np.uint8)
    text = problem.encode()[: record.size - 8]
    record[:8].view(np.int64)[0] = value
    record[8 : 8 + len(text)] = np.frombuffer(text, np.uint8)
    records = [np.empty_like(record) for _ in range(mesh.size)]
    mesh.open(call)
    movement.gather(mesh, records, record, deadline)
    for rank, other in zip(mesh.ranks, records, strict=True):
        told = other[8:].tobytes().rstrip(b"\0").decode(errors="replace")
        if told:
            raise SharedMemoryError(f"rank {rank}: {told}")
    return [int(other[:8].view(np.int64)[0]) for other in records]
