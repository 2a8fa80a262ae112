"""Collectives that move data, chunk by chunk through the stages; the first `sync` compares headers.

Every chunk is one step. P ranks, n bytes an array, chunks of c bytes:

| function   | steps     | copied in and out by each rank                    |
|------------|-----------|---------------------------------------------------|
| broadcast  | n / c     | root n in, the others n out                       |
| gather     | n / c     | n in, P n out where wanted                        |
| pieces     | P n / c   | P n in where there are inputs, P n out or reduced |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.transport.arena import Array

Drain = Callable[[slice, Sequence[Array]], None]


def broadcast(mesh: SharedMesh, flat: Array, root: int, deadline: Deadline) -> None:
    """Copy the flat array of `root` into that of all others."""
    width = mesh.stage_items(flat.dtype)
    for start in range(0, flat.size or 1, width):
        chunk = flat[start : start + width]
        stage = mesh.stages(flat.dtype, chunk.size)[root]
        if mesh.rank == root:
            stage[...] = chunk
        mesh.sync(deadline)
        if mesh.rank != root:
            chunk[...] = stage


def gather(mesh: SharedMesh, outs: Sequence[Array], flat: Array, deadline: Deadline) -> None:
    """Copy all ranks' flat arrays to `outs`, in rank order; nothing is copied if that is empty."""
    width = mesh.stage_items(flat.dtype)
    for start in range(0, flat.size or 1, width):
        chunk = flat[start : start + width]
        stages = mesh.stages(flat.dtype, chunk.size)
        stages[mesh.rank][...] = chunk
        mesh.sync(deadline)
        for out, stage in zip(outs, stages, strict=False):
            out[start : start + width] = stage


def pieces(
    mesh: SharedMesh, inputs: Sequence[Array], like: Array, drain: Drain, deadline: Deadline
) -> None:
    """Carry `inputs[r]` of every rank that has inputs to rank r; all flat and as long as `like`.

    `drain(where, parts)` is called for each slice `where` of the arrays, with the parts of this
    rank from all ranks in order; the part of a rank without inputs is meaningless.
    """
    width = mesh.stage_items(like.dtype) // mesh.size
    at = mesh.rank * width
    for start in range(0, like.size or 1, width):
        n_items = min(width, like.size - start)
        where = slice(start, start + n_items)
        stages = mesh.stages(like.dtype)
        own = stages[mesh.rank]
        for rank, array in enumerate(inputs):
            own[rank * width : rank * width + n_items] = array[where]
        mesh.sync(deadline)
        drain(where, [stage[at : at + n_items] for stage in stages])
