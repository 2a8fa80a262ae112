"""Ways to reduce over all ranks. Each reduces in rank order, so all ranks get equal bits.

In each the first `sync` is the one that compares headers. P ranks, n bytes, chunks of c bytes:

| way         | steps       | copied and reduced by each rank                               |
|-------------|-------------|---------------------------------------------------------------|
| direct      | n / c       | copies n in, reduces P n                                      |
| streamed    | 2           | the same, without waiting for others at every chunk           |
| scattered   | n / c + 1   | copies n (P - 1) / P in, reduces n, copies n (P - 1) / P out  |
| in place    | 2           | reduces n, writes n                                           |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from disttorch.comm.algorithms.copying import address_of, copier, copy
from disttorch.comm.algorithms.pipe import DEPTH, Pipe
from disttorch.comm.algorithms.slices import ALIGN, cuts
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import Part, SharedMesh
from disttorch.comm.reduce_op import Reduce
from disttorch.comm.transport.arena import Array

# Bytes of each rank's slice reduced before the result is spread, while they are in the caches. Of
# 32 KB to 1 MB this is the quickest or next to it for 2, 4 and 8 ranks on two cores.
_IN_PLACE_BLOCK_BYTES = 256 << 10


def direct(mesh: SharedMesh, flat: Array, reduce: Reduce, deadline: Deadline) -> None:
    """Reduce `flat` in place: every rank reads every rank's chunk."""
    width = mesh.stage_items(flat.dtype)
    for start in range(0, flat.size or 1, width):
        out = flat[start : start + width]
        parts = mesh.stages(flat.dtype, out.size)
        parts[mesh.rank][...] = out
        mesh.sync(deadline)
        reduce(out, parts)


def streamed(mesh: SharedMesh, flat: Array, reduce: Reduce, deadline: Deadline) -> None:
    """Reduce `flat` in place as `direct`; chunk k is put in before chunk k - 1 is reduced."""
    pipe = Pipe(mesh, flat.dtype, deadline)
    rank, width = mesh.rank, pipe.width
    n_chunks = -(-flat.size // width)
    copy_in = copier(address_of(pipe.slots[rank][0]), address_of(flat))
    out = flat[:0]
    for k in range(n_chunks + 1):
        chunk = flat[k * width : (k + 1) * width]
        copy_in(pipe.slots[rank][k % DEPTH][: chunk.size], chunk)
        pipe.post(k + 1)
        if k > 0:
            pipe.wait(k)
            parts = [slots[(k - 1) % DEPTH][: out.size] for slots in pipe.slots]
            if rank < 2:
                # Nearer to the core than the copy in the stage.
                parts[rank] = out
            reduce(out, parts)
        out = chunk
    mesh.sync(deadline)


def scattered(mesh: SharedMesh, flat: Array, reduce: Reduce, deadline: Deadline) -> None:
    """Reduce `flat` in place: each rank reduces one slice of a chunk and the others copy it out.

    A step carries chunk k in and the slices of chunk k - 1 out, so it takes one `sync` a chunk.
    """
    rank, size = mesh.rank, mesh.size
    # The results of the last chunk lie in the stage behind the next chunk.
    room = mesh.stage_items(flat.dtype)
    width = (room - 2 * ALIGN) * size // (size + 1) // ALIGN * ALIGN
    n_chunks = max(1, -(-flat.size // width))
    before: list[Array] = []
    for k in range(n_chunks + 1):
        stages = mesh.stages(flat.dtype)
        chunk = flat[k * width : (k + 1) * width]
        own, bounds = stages[rank], cuts(min(width, flat.size - (k - 1) * width), size)
        copy(own[: chunk.size], chunk)
        low, high = bounds[rank], bounds[rank + 1]
        if k > 0:
            reduce(own[width : width + high - low], [stage[low:high] for stage in before])
        mesh.send_only(_routes(flat.itemsize, cuts(chunk.size, size), rank, bounds, width, k))
        mesh.sync(deadline)
        if k > 0:
            _copy_out(flat[(k - 1) * width : k * width], stages, bounds, width)
        before = stages


def in_place(mesh: SharedMesh, arrays: Sequence[Array], reduce: Reduce, deadline: Deadline) -> None:
    """Reduce arrays that all ranks can write: each reduces its slice and writes it to all of them.

    `arrays` are the flat arrays of all ranks in group order. To be called after the first `sync`.
    """
    reduce_slices(mesh, arrays, reduce)
    mesh.sync(deadline)


def reduce_slices(mesh: SharedMesh, arrays: Sequence[Array], reduce: Reduce) -> None:
    """This rank's part in `in_place`, before the `sync` at its end."""
    bounds = cuts(arrays[0].size, mesh.size)
    low, high = bounds[mesh.rank], bounds[mesh.rank + 1]
    step = max(1, _IN_PLACE_BLOCK_BYTES // arrays[0].itemsize)
    first = address_of(arrays[0])
    copies = [copier(address_of(array), first) for array in arrays[1:]]
    for start in range(low, high, step):
        end = min(start + step, high)
        blocks = [array[start:end] for array in arrays]
        result = blocks[0]
        reduce(result, blocks)
        for copy_block, block in zip(copies, blocks[1:], strict=True):
            copy_block(block, result)


def _routes(
    itemsize: int, chunk: list[int], rank: int, before: list[int], at: int, k: int
) -> list[list[Part]]:
    """To each rank its slice of the chunk, to all what this rank has reduced of the last one."""
    reduced = [(at * itemsize, (before[rank + 1] - before[rank]) * itemsize)] if k else []
    return [
        [(low * itemsize, (high - low) * itemsize), *reduced]
        for low, high in itertools.pairwise(chunk)
    ]


def _copy_out(out: Array, stages: Sequence[Array], bounds: Sequence[int], at: int) -> None:
    for stage, low, high in zip(stages, bounds[:-1], bounds[1:], strict=True):
        copy(out[low:high], stage[at : at + high - low])
