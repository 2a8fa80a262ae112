"""Reducing arrays whose pages have moved into memory that all ranks of the group can write.

With the step that compares headers the ranks tell each other where their array lies and whether its
pages have moved or should (`transport.remap`). Once all should, each rank moves its own and maps
the others', in two more steps. From then on each rank reduces a slice of all arrays and writes it
to all of them. What may lie outside of whole pages, at both ends, goes through the stages.

P ranks, n bytes: 2 steps, n read and n written by each rank, no copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from disttorch.comm.algorithms import all_reduce as ways
from disttorch.comm.algorithms import movement, reach
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.reduce_op import Reduce
from disttorch.comm.transport import remap
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.process import ProcessId
from disttorch.comm.transport.segment import PAGE_BYTES, map_peer

# What a token says besides the address: that the others know the region, from which exchange, or
# that they should.
_TOLD, _WANTED = 1 << 62, 1 << 61
_NUMBER_AT, _NUMBER_MASK = reach.ADDRESS_BITS, (1 << 13) - 1
# Exchanges of which the mappings are kept.
_MOST_KEPT = 64


class Claim:
    """An array in one collective: meanwhile forks leave its region alone, and an error ends it."""

    def __init__(self, flat: Array, *, moving: bool) -> None:
        self.flat = flat
        region = remap.find(flat) if moving else None
        self.region = region if region is not None and region.use(id(self)) else None

    def move(self) -> remap.Region:
        """Have a region, from now on if there is none; raises SharedMemoryError."""
        if self.region is None:
            self.region = remap.move(self.flat, id(self))
        return self.region

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.region is not None:
            # Peers that are not done yet may write to the segment after an error of this rank.
            with contextlib.suppress(OSError):
                self.region.leave(id(self), failed=error is not None)


@dataclass(frozen=True)
class _Exchange:
    """A region of each rank: where it lies there, and its memory while it is shared.

    Of this rank's own the memory is None.
    """

    own: remap.Region
    starts: tuple[int, ...]
    memories: list[Array | None]


class Remaps:
    """The regions that the ranks of a group have told each other of."""

    def __init__(self, processes: Sequence[ProcessId]) -> None:
        self.possible = True
        """False once a rank could not move or map an array; equal on all ranks."""
        self._processes = processes
        self._exchanges: dict[int, _Exchange] = {}
        self._n_exchanges = 0
        self._found: dict[tuple[object, ...], list[Array | None]] = {}

    def token(self, claim: Claim) -> int:
        """What to tell the others of an array, for `arrays`."""
        token = reach.token_of(claim.flat)
        if claim.region is None:
            return token | _WANTED if remap.wanted(claim.flat) else token
        for number in reversed(self._exchanges):
            if self._exchanges[number].own is claim.region:
                return token | _TOLD | number << _NUMBER_AT
        return token | _WANTED

    def arrays(
        self, mesh: SharedMesh, tokens: list[int], claim: Claim, deadline: Deadline
    ) -> list[Array] | None:
        """The inner parts of the arrays of all ranks, or None if one of them has not moved.

        To be called by all with the tokens of all. Moves arrays that all ranks want to.
        """
        if not all(reach.is_address(token) and token & (_TOLD | _WANTED) for token in tokens):
            return None
        if all(token & _TOLD for token in tokens):
            numbers = [token >> _NUMBER_AT & _NUMBER_MASK for token in tokens]
        else:
            number = self._exchange(mesh, claim, deadline)
            if number is None:
                return None
            numbers = [number] * mesh.size
        places = reach.addresses(tokens)
        inner = inner_part(claim.flat)
        key = (*numbers, *places, inner.size, inner.dtype)
        others = self._found.get(key)
        if others is None:
            starts = [self._exchanges[n].starts[rank] for rank, n in enumerate(numbers)]
            memories = [self._exchanges[n].memories[rank] for rank, n in enumerate(numbers)]
            lead = n_at_end(claim.flat) * inner.itemsize
            others = [
                memory
                if memory is None
                else memory[place - start + lead :][: inner.nbytes].view(inner.dtype)
                for memory, start, place in zip(memories, starts, places, strict=True)
            ]
            assert [other is None for other in others] == [r == mesh.rank for r in range(mesh.size)]
            self._found[key] = others
        return [inner if other is None else other for other in others]

    def clear(self) -> None:
        """Forget the memory of all other ranks."""
        self.possible = False
        self._exchanges.clear()
        self._found.clear()

    def _exchange(self, mesh: SharedMesh, claim: Claim, deadline: Deadline) -> int | None:
        """Tell each other of a region of each rank; its number, or None if a rank has none."""
        fd = start = nbytes = -1
        with contextlib.suppress(SharedMemoryError):
            region = claim.move()
            fd, start, nbytes = region.segment.fd, region.start, region.nbytes
        told = movement.exchange_counts(mesh, [fd, start, nbytes, *self._alive()], deadline)
        self._drop([row[3:] for row in told])
        memories: list[Array | None] = [None] * mesh.size
        failed = any(row[0] < 0 for row in told)
        for rank, (process, row) in enumerate(zip(self._processes, told, strict=True)):
            if rank != mesh.rank and not failed:
                try:
                    memory = map_peer(process, row[0], row[2], populate=True)
                    memories[rank] = np.frombuffer(memory, np.uint8)
                except SharedMemoryError:
                    failed = True
        if any(row[0] for row in movement.exchange_counts(mesh, [int(failed)], deadline)):
            self.clear()
            return None
        assert claim.region is not None
        number = self._n_exchanges & _NUMBER_MASK
        self._n_exchanges += 1
        if len(self._exchanges) >= _MOST_KEPT:
            del self._exchanges[next(iter(self._exchanges))]
        starts = tuple(row[1] for row in told)
        self._exchanges[number] = _Exchange(claim.region, starts, memories)
        return number

    def _alive(self) -> list[int]:
        """Which of the exchanges that are kept, from the oldest on, have a shared region here."""
        return [int(exchange.own.shared) for exchange in self._exchanges.values()]

    def _drop(self, alive: Sequence[Sequence[int]]) -> None:
        """Forget the memory of regions that are shared no more."""
        self._found.clear()
        for i, exchange in enumerate(self._exchanges.values()):
            for rank, row in enumerate(alive):
                if not row[i]:
                    exchange.memories[rank] = None


def all_reduce(
    mesh: SharedMesh, arrays: Sequence[Array], flat: Array, reduce: Reduce, deadline: Deadline
) -> None:
    """Reduce `flat` in place, of which `arrays` are the inner parts on all ranks."""
    ways.reduce_slices(mesh, arrays, reduce)
    n = n_at_end(flat)
    stages = mesh.stages(flat.dtype, 2 * n)
    ends = stages[mesh.rank]
    ends[:n], ends[n:] = flat[:n], flat[-n:]
    mesh.sync(deadline)
    reduce(flat[:n], [stage[:n] for stage in stages])
    reduce(flat[-n:], [stage[n:] for stage in stages])


def n_at_end(flat: Array) -> int:
    """So many elements at either end may lie outside of whole pages."""
    return -(-PAGE_BYTES // flat.itemsize)


def inner_part(flat: Array) -> Array:
    """All elements but those at the ends."""
    n = n_at_end(flat)
    return flat[n:-n]
