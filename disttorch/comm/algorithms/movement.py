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
from typing import Any

import numpy as np

from disttorch.comm.algorithms.copying import copy
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import Part, SharedMesh
from disttorch.comm.transport.arena import Array

_WORD = np.dtype(np.int64)

Drain = Callable[[slice, Sequence[Array]], None]


def broadcast(mesh: SharedMesh, flat: Array, root: int, deadline: Deadline) -> None:
    """Copy the flat array of `root` into that of all others."""
    width = mesh.stage_items(flat.dtype)
    for start in range(0, flat.size or 1, width):
        chunk = flat[start : start + width]
        stage = mesh.stages(flat.dtype, chunk.size)[root]
        if mesh.rank == root:
            copy(stage, chunk)
        else:
            mesh.send_only([()] * mesh.size)
        mesh.sync(deadline)
        if mesh.rank != root:
            copy(chunk, stage)


def gather(
    mesh: SharedMesh,
    outs: Sequence[Array],
    flat: Array,
    deadline: Deadline,
    longest: int | None = None,
) -> None:
    """Copy all ranks' flat arrays to `outs`, in rank order; nothing is copied if that is empty.

    Where lengths differ, `longest` is the greatest and each of `outs` is as long as its rank's.
    """
    width = mesh.stage_items(flat.dtype)
    for start in range(0, (flat.size if longest is None else longest) or 1, width):
        chunk = flat[start : start + width]
        stages = mesh.stages(flat.dtype, chunk.size if longest is None else None)
        copy(stages[mesh.rank][: chunk.size], chunk)
        mesh.sync(deadline)
        for out, stage in zip(outs, stages, strict=False):
            part = out[start : start + width]
            copy(part, stage[: part.size])


def pieces(
    mesh: SharedMesh,
    inputs: Sequence[Array],
    dtype: np.dtype[Any],
    longest: int,
    drain: Drain,
    deadline: Deadline,
) -> None:
    """Carry `inputs[r]` of every rank that has inputs to rank r; all flat, at most `longest` items.

    `drain(where, parts)` is called for each slice `where` of the arrays, with the parts of this
    rank from all ranks in order; what is past an array's end, or of a rank without inputs, is
    meaningless.
    """
    width = mesh.stage_items(dtype) // mesh.size
    at = mesh.rank * width
    for start in range(0, longest or 1, width):
        n_items = min(width, longest - start)
        where = slice(start, start + n_items)
        stages = mesh.stages(dtype)
        own = stages[mesh.rank]
        for rank, array in enumerate(inputs):
            part = array[where]
            copy(own[rank * width : rank * width + part.size], part)
        mesh.send_only(_routes(mesh.size, inputs, where, width))
        mesh.sync(deadline)
        drain(where, [stage[at : at + n_items] for stage in stages])


def _routes(size: int, inputs: Sequence[Array], where: slice, width: int) -> list[list[Part]]:
    if not inputs:
        return [[]] * size
    return [
        [(rank * width * array.itemsize, array[where].nbytes)] for rank, array in enumerate(inputs)
    ]


def exchange_counts(mesh: SharedMesh, counts: Sequence[int], deadline: Deadline) -> list[list[int]]:
    """The `counts` of all ranks, equally many on each: the step that compares headers."""
    words = mesh.stages(_WORD, len(counts))
    words[mesh.rank][...] = counts
    mesh.sync(deadline)
    return [[int(n) for n in row] for row in words]
