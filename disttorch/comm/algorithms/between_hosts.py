"""Moving data among ranks on several hosts: what all ranks of a host want goes there once.

One of them gets it and hands it to the others through memory, one step later. H hosts, P ranks, n
bytes an array, chunks of c bytes:

| function  | steps     | sent by a host          |
|-----------|-----------|-------------------------|
| broadcast | n / c + 1 | the root's: n (H - 1)   |
| gather    | n / c + 1 | of L ranks: L n (H - 1) |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from disttorch.comm.algorithms.hierarchical import errands
from disttorch.comm.algorithms.slices import cuts
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import Part, SharedMesh
from disttorch.comm.transport.arena import Array


def broadcast(mesh: SharedMesh, flat: Array, root: int, deadline: Deadline) -> None:
    """Copy the flat array of `root` into that of all others; each rank of a host gets a slice."""
    rank, item = mesh.rank, flat.dtype.itemsize
    (local,) = (ranks for ranks in mesh.hosts if rank in ranks)
    width = mesh.stage_items(flat.dtype)
    chunks = [flat[start : start + width] for start in range(0, flat.size or 1, width)]
    came: list[Array] = []
    for k in range(len(chunks) + 1):
        stages = mesh.stages(flat.dtype)
        routes: list[list[Part]] = [[] for _ in range(mesh.size)]
        if rank == root and k < len(chunks):
            stages[rank][: chunks[k].size] = chunks[k]
            for ranks in mesh.hosts:
                for peer, (low, high) in _slices(ranks, chunks[k].size):
                    routes[peer].append((low * item, (high - low) * item))
        if root not in local and k > 0:
            low, high = dict(_slices(local, chunks[k - 1].size))[rank]
            stages[rank][low:high] = came[root][low:high]
        mesh.send_only(routes)
        mesh.sync(deadline)
        if root in local and rank != root and k < len(chunks):
            chunks[k][...] = stages[root][: chunks[k].size]
        if root not in local and k > 0:
            for peer, (low, high) in _slices(local, chunks[k - 1].size):
                chunks[k - 1][low:high] = stages[peer][low:high]
        came = stages


def gather(
    mesh: SharedMesh,
    outs: Sequence[Array],
    flat: Array,
    deadline: Deadline,
    longest: int | None = None,
) -> None:
    """Copy all ranks' flat arrays to `outs`, in rank order, each as long as its rank's.

    `longest` is the greatest length where they differ.
    """
    rank, hosts, item = mesh.rank, mesh.hosts, flat.dtype.itemsize
    home = next(h for h, ranks in enumerate(hosts) if rank in ranks)
    jobs = errands(hosts)
    # Of each stage the front is its rank's own chunk; behind it lie those that it hands on.
    width = mesh.stage_items(flat.dtype) // (2 + max(i for by in jobs for _, i in by.values()))
    came: list[Array] = []
    for start in range(0, (flat.size if longest is None else longest or 1) + width, width):
        stages, before = mesh.stages(flat.dtype), slice(max(0, start - width), start)
        chunk = flat[start : start + width]
        stages[rank][: chunk.size] = chunk
        for peer, (helper, i) in jobs[home].items() if came else ():
            if helper == rank:
                n = outs[peer][before].size
                stages[rank][(1 + i) * width :][:n] = came[peer][:n]
        routes: list[list[Part]] = [[] for _ in range(mesh.size)]
        for helper in {by[rank][0] for by in jobs if rank in by}:
            routes[helper].append((0, chunk.size * item))
        mesh.send_only(routes)
        mesh.sync(deadline)
        for peer in hosts[home]:
            part = outs[peer][start : start + width]
            part[...] = stages[peer][: part.size]
        for peer, (helper, i) in jobs[home].items() if came else ():
            part = outs[peer][before]
            part[...] = stages[helper][(1 + i) * width :][: part.size]
        came = stages


def _slices(ranks: Sequence[int], n_items: int) -> list[tuple[int, tuple[int, int]]]:
    return list(zip(ranks, itertools.pairwise(cuts(n_items, len(ranks))), strict=True))
