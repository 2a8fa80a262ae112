"""Ways in which ranks read each other's arrays where they lie, without stages in between.

Ranks tell each other the addresses with the step that compares headers. Nobody writes to another's
array, so a rank that has given up meanwhile can be misread but not harmed: the step at the end
then raises. P ranks, n bytes an array:

| function   | steps | read from others | written |
|------------|-------|------------------|---------|
| all_reduce | 3     | 2 n (P - 1) / P  | n       |
| all_to_all | 2     | n (P - 1) / P    | n       |
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from disttorch.comm.algorithms.copying import address_of, clashes, copy, empty_beside
from disttorch.comm.algorithms.slices import cuts
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveTimeoutError, DistBackendError
from disttorch.comm.header import EncodedCall
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.reduce_op import Reduce
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.peer_memory import read_memory
from disttorch.comm.transport.process import ProcessId

# Marks a token as an address; those of user's processes are shorter on all Linux machines.
_ADDRESS = 1 << 63
ADDRESS_BITS = 48
"""The bits of a token from here on tell other things than the address."""
_WORD = np.dtype(np.int64)
# What is read of each rank before it is reduced. It should stay in the core's caches, but a read
# costs ten microseconds however short it is. Whole pages, so that all blocks lie alike in them.
_BLOCK_BYTES = 512 << 10
_BOUNCE_BYTES = 256 << 10
# Up to this a slow copy costs no more than a second one.
_BOUNCE_FROM_BYTES = 32 << 10
# A process that ends gives up its memory a moment before it counts as ended.
_END_S = 2.0


class Reach:
    """Whether the ranks of a group can read each other's memory; found out when first asked."""

    def __init__(self, processes: Sequence[ProcessId]) -> None:
        self._pids = [process.pid for process in processes]
        self.possible: bool | None = None
        """None before all ranks have tried; equal on all ranks."""

    def read(self, mesh: SharedMesh, rank: int, address: int, into: Array) -> None:
        """Fill `into` from the memory of group rank `rank`; raises PeerLostError if it is gone."""
        try:
            if into.nbytes > _BOUNCE_FROM_BYTES and clashes(address_of(into), address):
                self._bounce(rank, address, into)
            else:
                read_memory(self._pids[rank], address, into)
        except OSError as error:
            self._explain(mesh, rank, error)

    def agree(self, mesh: SharedMesh, tokens: Sequence[int], deadline: Deadline) -> bool:
        """Whether all ranks can read all others at the addresses they told; called by all."""
        if not all(map(is_address, tokens)):
            return False
        if self.possible is None:
            words = mesh.stages(_WORD, 1)
            words[mesh.rank][0] = self._try(mesh.rank, tokens)
            mesh.sync(deadline)
            self.possible = all(word[0] for word in words)
        return self.possible

    def _try(self, own: int, tokens: Sequence[int]) -> bool:
        probe = np.empty(1, np.uint8)
        try:
            for rank, token in enumerate(tokens):
                if rank != own:
                    read_memory(self._pids[rank], token & (1 << ADDRESS_BITS) - 1, probe)
        except OSError:
            return False
        return True

    def _bounce(self, rank: int, address: int, into: Array) -> None:
        # The kernel copies with the instruction that `clashes` is about.
        whole, block = into.view(np.uint8), empty_beside(address, _BOUNCE_BYTES)
        for at in range(0, whole.size, _BOUNCE_BYTES):
            part = whole[at : at + _BOUNCE_BYTES]
            read_memory(self._pids[rank], address + at, block[: part.size])
            copy(part, block[: part.size])

    def _explain(self, mesh: SharedMesh, rank: int, error: OSError) -> None:
        try:
            mesh.wait_for(lambda: False, Deadline.after(_END_S), lambda: [rank], mesh.doing())
        except CollectiveTimeoutError:
            raise DistBackendError(
                f"rank {mesh.ranks[mesh.rank]}: cannot read the memory of rank {mesh.ranks[rank]} "
                f"any more: {error.strerror}"
            ) from error


def token_of(flat: Array) -> int:
    """What a rank tells the others about where `flat`, of one or more elements, lies."""
    return address_of(flat) | _ADDRESS


def is_address(token: int) -> bool:
    """Whether a token is one of `token_of`."""
    return bool(token & _ADDRESS)


def begin(
    mesh: SharedMesh, reach: Reach, call: EncodedCall, flat: Array, out: Array, deadline: Deadline
) -> list[int] | None:
    """Open a collective and tell where `flat` lies; the addresses of all ranks, or None.

    None on all ranks also where one would write `out` over what the others are to read.
    """
    mesh.open(call, 0 if np.may_share_memory(flat, out) else token_of(flat))
    mesh.sync(deadline)
    tokens = mesh.tokens()
    return addresses(tokens) if reach.agree(mesh, tokens, deadline) else None


def addresses(tokens: Sequence[int]) -> list[int]:
    """The addresses in the tokens of all ranks."""
    return [token & (1 << ADDRESS_BITS) - 1 for token in tokens]


def all_reduce(
    mesh: SharedMesh,
    reach: Reach,
    flat: Array,
    places: Sequence[int],
    reduce: Reduce,
    deadline: Deadline,
) -> None:
    """Reduce `flat` in place: each rank reduces its slice, then reads the others'.

    `places` are the addresses of all ranks' arrays. To be called after the first `sync`.
    """
    rank, size, item = mesh.rank, mesh.size, flat.itemsize
    step = max(1, _BLOCK_BYTES // item)
    bounds = cuts(flat.size, size)
    blocks = [
        empty_beside(place + bounds[rank] * item, step * item).view(flat.dtype) for place in places
    ]
    for low in range(bounds[rank], bounds[rank + 1], step):
        out = flat[low : min(low + step, bounds[rank + 1])]
        parts = [block[: out.size] for block in blocks]
        for other, part in enumerate(parts):
            if other != rank:
                reach.read(mesh, other, places[other] + low * item, part)
        parts[rank] = out
        if rank < 2:
            reduce(out, parts)
        else:
            # Its own part is not the first to be read, so it must not be written before.
            reduce(parts[0], parts)
            out[...] = parts[0]
    mesh.sync(deadline)
    # Every rank begins with another, so that they do not all read one rank's memory.
    for other in ((rank + i) % size for i in range(1, size)):
        low, high = bounds[other], bounds[other + 1]
        reach.read(mesh, other, places[other] + low * item, flat[low:high])
    mesh.sync(deadline)


def all_to_all(
    mesh: SharedMesh,
    reach: Reach,
    outs: Sequence[Array],
    own: Array,
    places: Sequence[int],
    deadline: Deadline,
) -> None:
    """Read part r of every rank's array into rank r's `outs`, which are of one size.

    `places` are the addresses of all ranks' arrays, `own` the part that stays on this rank.
    """
    rank, size = mesh.rank, mesh.size
    copy(outs[rank], own)
    for other in ((rank + i) % size for i in range(1, size)):
        reach.read(mesh, other, places[other] + rank * own.nbytes, outs[other])
    mesh.sync(deadline)
