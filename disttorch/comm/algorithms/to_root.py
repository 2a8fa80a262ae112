"""Collectives whose result one rank has: the others send it theirs, and nobody else.

| function  | steps | sent by each rank but the root |
|-----------|-------|--------------------------------|
| to_root   | n / c | n                              |
"""

from __future__ import annotations

from disttorch.comm.algorithms.movement import Drain
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import Part, SharedMesh
from disttorch.comm.transport.arena import Array


def to_root(mesh: SharedMesh, flat: Array, root: int, drain: Drain, deadline: Deadline) -> None:
    """Bring the flat arrays of all ranks, all of one length, to `root`, chunk by chunk.

    There `drain(where, parts)` is called for each slice `where` with the parts of all in order.
    """
    rank, width = mesh.rank, mesh.stage_items(flat.dtype)
    for start in range(0, flat.size or 1, width):
        chunk = flat[start : start + width]
        stages = mesh.stages(flat.dtype, chunk.size)
        stages[rank][...] = chunk
        routes: list[list[Part]] = [[] for _ in range(mesh.size)]
        routes[root].append((0, chunk.nbytes))
        mesh.send_only(routes)
        mesh.sync(deadline)
        if rank == root:
            drain(slice(start, start + chunk.size), stages)
