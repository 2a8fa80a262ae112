"""How the ranks of a job find each other's memory: through the store, once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm import join_tcp
from disttorch.comm.deadline import Deadline
from disttorch.comm.env import exit_key, join_key
from disttorch.comm.errors import (
    DistNetworkError,
    PeerLostError,
    SharedMemoryError,
    StoreTimeoutError,
)
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.store.base import Store
from disttorch.comm.transport.arena import Layout, OwnPage, Page
from disttorch.comm.transport.process import ProcessId, ProcessWatch
from disttorch.comm.transport.segment import Segment, map_peer
from disttorch.comm.transport.waiting import wait_until

STAGE_BYTES = 512 << 10
RING_BYTES = 256 << 10
# How often a rank that waits for others asks whether they have ended before they joined.
_ASK_EVERY_S = 0.5
_END_S = 0.5


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


def connect(store: Store, rank: int, size: int, attempt: int, deadline: Deadline) -> Link:
    """Join the `size` ranks that use `store`; returns on no rank before all have joined.

    `attempt` counts restarts of the job. Raises StoreTimeoutError naming the ranks that did not
    come, PeerLostError if one ended first, SharedMemoryError if memory is short. Ranks on several
    hosts, and all where DISTTORCH_TRANSPORT is tcp, talk over TCP (`join_tcp`).
    """
    segment = Segment(layout_for(size).nbytes, layout_for(size).rings_at)
    watch = None
    try:
        keys = [join_key(attempt, peer) for peer in range(size)]
        store.set(keys[rank], Address(ProcessId.current(), segment.fd).to_json())
        _wait_for_ranks(store, rank, keys, attempt, deadline)
        addresses = [Address.from_json(text) for text in store.multi_get(keys)]
        one_host = len({address.process.host for address in addresses}) == 1
        if not one_host or join_tcp.is_forced():
            segment.close_fd()
            mesh = join_tcp.join(store, rank, size, attempt, one_host, deadline)
            watch = ProcessWatch({})
            return Link(mesh, tuple(address.process for address in addresses), watch)
        processes = [address.process for address in addresses]
        watch = watch_peers(rank, range(size), processes)
        try:
            pages = open_pages(segment, rank, processes, [address.fd for address in addresses])
        except SharedMemoryError:
            _raise_if_lost(rank, watch)
            raise
        shared = SharedMesh(rank, range(size), pages, STAGE_BYTES, watch)
        # No rank may leave before all have opened its segment.
        shared.sync(deadline)
    except BaseException:
        if watch is not None:
            watch.close()
        segment.close_fd()
        raise
    return Link(shared, tuple(processes), watch)


def open_pages(
    segment: Segment, rank: int, processes: Sequence[ProcessId], fds: Sequence[int]
) -> list[Page]:
    """The pages of all ranks of a group, this rank's own being in `segment`.

    Raises SharedMemoryError if a peer's cannot be opened.
    """
    layout = layout_for(len(processes))
    return [
        OwnPage(segment, layout)
        if peer == rank
        else Page(map_peer(process, fd, segment.nbytes), layout)
        for peer, (process, fd) in enumerate(zip(processes, fds, strict=True))
    ]


def watch_peers(own: int, ranks: Sequence[int], processes: Sequence[ProcessId]) -> ProcessWatch:
    """The watch of group rank `own` on the others, which it knows by their global `ranks`."""
    return ProcessWatch(
        {rank: process for i, (rank, process) in enumerate(zip(ranks, processes, strict=True))
         if i != own}
    )  # fmt: skip


def alone() -> Link:
    """The link of a job with one rank, which needs no store."""
    layout = layout_for(1)
    watch = ProcessWatch({})
    page = OwnPage(Segment(layout.nbytes, layout.rings_at), layout)
    mesh = SharedMesh(0, [0], [page], STAGE_BYTES, watch)
    return Link(mesh, (ProcessId.current(),), watch)


def _wait_for_ranks(
    store: Store, rank: int, keys: Sequence[str], attempt: int, deadline: Deadline
) -> None:
    while True:
        try:
            store.wait(keys, min(_ASK_EVERY_S, deadline.remaining_s()))
            return
        except StoreTimeoutError:
            missing = [peer for peer, key in enumerate(keys) if not store.check([key])]
        for peer in missing:
            if store.check([exit_key(attempt, peer)]):
                how = store.get(exit_key(attempt, peer)).decode(errors="replace")
                raise PeerLostError(
                    f"rank {rank}: rank {peer} {how or 'ended'} before it joined the process "
                    f"group. All ranks must call init_process_group.",
                    [peer],
                )
        if deadline.expired():
            names = ", ".join(map(str, missing))
            raise StoreTimeoutError(
                f"rank {rank}: waited {deadline.timeout_s:g} s for rank {names} of {len(keys)} to "
                f"call init_process_group. Are all ranks started, and do all reach that call?"
            )


def _raise_if_lost(rank: int, watch: ProcessWatch) -> None:
    # A process that ends gives up its memory a moment before it counts as ended.
    wait_until(lambda: bool(watch.ended()), Deadline.after(_END_S), lambda: None, eager=False)
    ended = sorted(watch.ended())
    if ended:
        names = ", ".join(f"rank {peer} (pid {watch.pid(peer)})" for peer in ended)
        raise PeerLostError(f"rank {rank}: {names} died while the ranks joined", ended) from None
