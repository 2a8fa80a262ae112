"""Collectives by messages between pairs of ranks, each on a host of its own, as a plan says.

The first `sync` compares headers, the last tells that nobody needs any rank's arrays any more:
blocks are sent from where they lie. A block that comes over one that was sent contains it, so it
has arrived; what is added to while it is sent goes as a copy. Blocks are sent in pieces, which the
receiver adds or copies as they come, and passes on at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from disttorch.comm.algorithms.copying import copy
from disttorch.comm.algorithms.plans import Plan, Step, plan_for
from disttorch.comm.algorithms.slices import cuts
from disttorch.comm.algorithms.staged_reduce import Stages
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.tcp_mesh import TcpMesh
from disttorch.comm.transport.arena import Array

# A piece costs as much as some KB of it, and a part of a block is under way while another is added.
_MOST_PIECE_BYTES, _FEWEST_PIECE_BYTES = 1 << 20, 64 << 10
_PIECES_PER_BLOCK = 4


def way(
    mesh: SharedMesh, collective: str, nbytes: int, root: int | None = None
) -> tuple[TcpMesh, Plan] | None:
    """The mesh and this rank's plan of a collective on `nbytes`; None if it goes another way."""
    if not mesh.apart or not isinstance(mesh, TcpMesh):
        return None
    plan = plan_for(collective, nbytes, mesh.rank, mesh.size, root)
    return (mesh, plan) if plan else None


def all_reduce(mesh: TcpMesh, plan: Plan, flat: Array, stages: Stages, deadline: Deadline) -> None:
    """Reduce `flat` in place."""
    blocks = split(flat, plan.n_blocks)
    _Course(mesh, plan, blocks, blocks, stages, deadline, in_place=True).run()


def reduce_scatter(
    mesh: TcpMesh,
    plan: Plan,
    inputs: Sequence[Array],
    out: Array,
    stages: Stages,
    deadline: Deadline,
) -> None:
    """Reduce `inputs[r]` of all ranks into the `out` of rank r; all flat, of any lengths."""
    results = [out if peer == mesh.rank else array for peer, array in enumerate(inputs)]
    _Course(mesh, plan, inputs, results, stages, deadline, in_place=False).run()


def reduce(mesh: TcpMesh, plan: Plan, flat: Array, stages: Stages, deadline: Deadline) -> None:
    """Reduce the flat arrays of all ranks into that of the rank that owns the sum."""
    _Course(mesh, plan, [flat], [flat], stages, deadline, in_place=plan.owned == (0, 1)).run()


def gather(
    mesh: TcpMesh, plan: Plan, outs: Sequence[Array], flat: Array, deadline: Deadline
) -> None:
    """Copy all ranks' flat arrays to `outs`, in rank order; of any lengths."""
    copy(outs[mesh.rank], flat)
    _Course(mesh, plan, outs, outs, None, deadline, in_place=True).run()


def broadcast(mesh: TcpMesh, plan: Plan, flat: Array, deadline: Deadline) -> None:
    """Copy the flat array of the rank that owns it into that of all others."""
    blocks = [flat]
    _Course(mesh, plan, blocks, blocks, None, deadline, in_place=True).run()


def split(flat: Array, n_blocks: int) -> list[Array]:
    """The blocks of a flat array."""
    bounds = cuts(flat.size, n_blocks)
    return [flat[low:high] for low, high in itertools.pairwise(bounds)]


class _Course:
    """A plan under way: `held` blocks and what has been added to them, `results` to be written.

    Where `in_place`, sums are written over `held`, and else into memory of their own.
    """

    def __init__(
        self,
        mesh: TcpMesh,
        plan: Plan,
        held: Sequence[Array],
        results: Sequence[Array],
        stages: Stages | None,
        deadline: Deadline,
        *,
        in_place: bool,
    ) -> None:
        self._mesh, self._plan, self._deadline = mesh, plan, deadline
        self._held, self._results, self._stages = list(held), results, stages
        dtype = held[0].dtype
        self._wide = stages.between if stages else dtype
        self._travels = self._wide if plan.partial else dtype
        own = in_place and self._wide == dtype
        self._sums: list[Array | None] = [block if own else None for block in held]

    def run(self) -> None:
        steps = (*self._plan.sums, *self._plan.results, Step())
        n_sums, passed_on = len(self._plan.sums), False
        self._mesh.sync(self._deadline)
        for k, (step, after) in enumerate(itertools.pairwise(steps)):
            adding = k < n_sums
            if not passed_on:
                self._send(step, adding=adding)
            passed_on = step.hands_to(after)
            onward = after.sends if passed_on else ()
            for low, high, peers in step.together():
                for block in range(low, high):
                    to = [move.peer for move in onward if move.low <= block < move.high]
                    if adding:
                        self._add(block, peers, to, last=k + 1 == n_sums)
                    else:
                        self._take(block, peers[0], to)
        self._mesh.sync(self._deadline)

    def _send(self, step: Step, *, adding: bool) -> None:
        for move in step.sends:
            for block in range(move.low, move.high):
                array = self._held[block] if adding else self._results[block]
                if adding:
                    array = array.astype(self._travels, copy=step.adds_to(block))
                for where in self._pieces(array):
                    self._mesh.post(move.peer, array[where])

    def _add(self, block: int, peers: Sequence[int], to: Sequence[int], *, last: bool) -> None:
        assert self._stages is not None
        own, done = self._held[block], last and self._plan.owns(block)
        out = self._results[block] if done else self._sums[block]
        if out is None:
            out = np.empty(own.size, self._wide)
        for where in self._pieces(own):
            came = [(peer, self._piece(peer, own[where].size, self._travels)) for peer in peers]
            parts = dict([*came, (self._mesh.rank, own[where])])
            self._fold(out[where], [parts[rank] for rank in sorted(parts)], done=done)
            for peer in to:
                self._mesh.post(peer, out[where])
        if not done:
            self._held[block] = self._sums[block] = out

    def _fold(self, out: Array, parts: list[Array], *, done: bool) -> None:
        assert self._stages is not None
        # What is written while others are yet to be read must be none of these.
        parts[2:] = [part.copy() if np.may_share_memory(part, out) else part for part in parts[2:]]
        if not done:
            self._stages.first(out, parts)
        elif out.dtype == self._wide:
            self._stages.second(out, parts)
        else:
            total = np.empty(out.size, self._wide)
            self._stages.first(total, parts)
            self._stages.second(out, [total])

    def _take(self, block: int, peer: int, to: Sequence[int]) -> None:
        out = self._results[block]
        for where in self._pieces(out):
            out[where] = self._piece(peer, out[where].size, out.dtype)
            for receiver in to:
                self._mesh.post(receiver, out[where])

    def _piece(self, peer: int, n_items: int, dtype: np.dtype) -> Array:
        data = self._mesh.take(peer, n_items * dtype.itemsize, self._deadline)
        return np.frombuffer(data, dtype)

    def _pieces(self, array: Array) -> Iterator[slice]:
        item = self._wide.itemsize
        nbytes = max(_FEWEST_PIECE_BYTES, array.size * item // _PIECES_PER_BLOCK)
        width = max(1, min(_MOST_PIECE_BYTES, nbytes) // item)
        for start in range(0, array.size, width):
            yield slice(start, start + width)
