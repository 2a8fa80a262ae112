"""The memory and the processes of a group's other ranks, as far as they are on this host."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import PeerLostError
from disttorch.comm.transport.arena import Layout, OwnPage, Page
from disttorch.comm.transport.process import ProcessId, ProcessWatch
from disttorch.comm.transport.segment import Segment, map_peer
from disttorch.comm.transport.waiting import wait_until

_END_S = 0.5


def open_pages(
    segment: Segment,
    layout: Layout,
    rank: int,
    processes: Sequence[ProcessId],
    fds: Sequence[int],
) -> list[Page]:
    """The pages of all ranks of a group, this rank's own being in `segment`.

    A rank on another host gets a page in memory of this process, for what that rank sends. Raises
    SharedMemoryError if a page on this host cannot be opened.
    """
    pages: list[Page] = []
    for peer, (process, fd) in enumerate(zip(processes, fds, strict=True)):
        if peer == rank:
            pages.append(OwnPage(segment, layout))
        elif process.host == processes[rank].host:
            pages.append(Page(map_peer(process, fd, layout.nbytes), layout))
        else:
            pages.append(Page(mmap.mmap(-1, layout.rings_at), layout))
    return pages


def watch_peers(own: int, ranks: Sequence[int], processes: Sequence[ProcessId]) -> ProcessWatch:
    """The watch of group rank `own` on the others of its host, known by their global `ranks`."""
    host = processes[own].host
    return ProcessWatch(
        {rank: process for i, (rank, process) in enumerate(zip(ranks, processes, strict=True))
         if i != own and process.host == host}
    )  # fmt: skip


def raise_if_lost(rank: int, watch: ProcessWatch) -> None:
    """Raise PeerLostError if a watched process has ended, or ends within half a second.

    A process that ends gives up its memory a moment before it counts as ended.
    """
    wait_until(lambda: bool(watch.ended()), Deadline.after(_END_S), lambda: None, eager=False)
    ended = sorted(watch.ended())
    if ended:
        names = ", ".join(f"rank {peer} (pid {watch.pid(peer)})" for peer in ended)
        raise PeerLostError(f"rank {rank}: {names} died while the ranks joined", ended) from None
