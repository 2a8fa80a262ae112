"""How the ranks of a job find each other's memory: through the store, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm import join_tcp
from disttorch.comm.arrivals import wait_for_ranks
from disttorch.comm.deadline import Deadline
from disttorch.comm.env import join_key
from disttorch.comm.errors import DistNetworkError, SharedMemoryError
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.peers import open_pages, raise_if_lost, watch_peers
from disttorch.comm.store.base import Store
from disttorch.comm.transport.arena import Layout, OwnPage
from disttorch.comm.transport.process import ProcessId, ProcessWatch, by_host
from disttorch.comm.transport.segment import Segment

STAGE_BYTES = 512 << 10
RING_BYTES = 256 << 10


@dataclass(frozen=True)
class Address:
    """Where a rank's segment is: in which process, under which descriptor."""

    process: ProcessId
    fd: int

    def to_json(self) -> str:
        """As text for the store."""
        process = self.process
        return json.dumps([process.pid, process.start_ticks, process.host, self.fd])

    @classmethod
    def from_json(cls, text: bytes) -> Address:
        """The address in a rank's text; raises DistNetworkError if it is not one."""
        try:
            pid, start_ticks, host, fd = json.loads(text)
            return cls(ProcessId(int(pid), int(start_ticks), str(host)), int(fd))
        except (ValueError, TypeError):
            raise DistNetworkError(f"not the address of a rank: {text[:80]!r}") from None


@dataclass(frozen=True)
class Link:
    """A connected group: its mesh, the processes of its ranks, and the watch on them."""

    mesh: SharedMesh
    processes: tuple[ProcessId, ...]
    watch: ProcessWatch


def layout_for(n_ranks: int) -> Layout:
    """The layout of the segments of a group."""
    return Layout(n_ranks, STAGE_BYTES, RING_BYTES)


def connect(
    store: Store,
    rank: int,
    size: int,
    attempt: int,
    deadline: Deadline,
    ranks: Sequence[int] | None = None,
) -> Link:
    """Join the `size` ranks that use `store`; returns on no rank before all have joined.

    `attempt` counts restarts of the job; `ranks` are their numbers in it, by default all in order.
    Raises StoreTimeoutError naming the ranks that did not
    come, PeerLostError if one ended first, SharedMemoryError if memory is short. Ranks on several
    hosts talk over TCP where they share no memory (`join_tcp`).
    """
    layout, numbers = layout_for(size), range(size) if ranks is None else ranks
    segment = Segment(layout.nbytes, layout.rings_at)
    watch = None
    try:
        keys = [join_key(attempt, peer) for peer in range(size)]
        store.set(keys[rank], Address(ProcessId.current(), segment.fd).to_json())
        wait_for_ranks(store, rank, keys, attempt, deadline)
        addresses = [Address.from_json(text) for text in store.multi_get(keys)]
        processes = tuple(address.process for address in addresses)
        watch = watch_peers(rank, numbers, processes)
        mesh: SharedMesh
        if len(by_host(processes)) > 1:
            segment.close_fd()
            mesh = join_tcp.join(store, rank, attempt, processes, watch, deadline, numbers)
            return Link(mesh, processes, watch)
        try:
            fds = [address.fd for address in addresses]
            pages = open_pages(segment, layout, rank, processes, fds)
        except SharedMemoryError:
            raise_if_lost(numbers[rank], watch)
            raise
        mesh = SharedMesh(rank, numbers, pages, STAGE_BYTES, watch)
        # No rank may leave before all have opened its segment.
        mesh.sync(deadline)
    except BaseException:
        if watch is not None:
            watch.close()
        segment.close_fd()
        raise
    return Link(mesh, processes, watch)


def alone(rank: int = 0) -> Link:
    """The link of a group of one rank of the job, by default its only one; it needs no store."""
    layout = layout_for(1)
    watch = ProcessWatch({})
    page = OwnPage(Segment(layout.nbytes, layout.rings_at), layout)
    mesh = SharedMesh(0, [rank], [page], STAGE_BYTES, watch)
    return Link(mesh, (ProcessId.current(),), watch)
