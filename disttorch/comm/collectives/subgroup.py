"""A new group of some ranks of a group, connected through it."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm import join_tcp
from disttorch.comm.collectives.allocate import agree
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.connect import STAGE_BYTES, Link, layout_for, open_pages, watch_peers
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.header import EncodedCall, digest
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.tcp_mesh import TcpMesh
from disttorch.comm.transport.process import ProcessWatch
from disttorch.comm.transport.segment import Segment


def new_group(context: Context, results: list[Link], ranks: Sequence[int]) -> Run:
    """Connect `ranks` of the context's group; members find the new link in `results`.

    Called by all ranks of that group with the same `ranks`. Raises SharedMemoryError, on all ranks
    alike, if one of them is short of memory.
    """
    members = tuple(ranks)
    for member in members:
        context.check_rank(member, "each of ranks")
    if not members or len(set(members)) != len(members):
        raise ValueError(f"ranks must be one or more different ranks, got {list(members)}")
    calls = [context.calls.find(name, shape=members) for name in ("new_group", "new_group (map)")]

    def run(deadline: Deadline) -> None:
        if isinstance(context.mesh, TcpMesh):
            joined = _connect_by_tcp(context.mesh, context, calls, members, deadline)
            if joined is not None:
                results.append(joined)
            return
        link = _connect(context, calls, members, deadline)
        if link is not None:
            results.append(link)

    return run


def _connect(
    context: Context, calls: list[EncodedCall], members: tuple[int, ...], deadline: Deadline
) -> Link | None:
    rank = context.mesh.rank
    problem, segment, link = "", None, None
    layout = layout_for(len(members))
    try:
        if rank in members:
            segment = Segment(layout.nbytes, layout.rings_at)
    except SharedMemoryError as error:
        problem = str(error)
    try:
        all_fds = agree(context, calls[0], problem, segment.fd if segment else -1, deadline)
        if segment is not None:
            try:
                link = _open(context, segment, members, all_fds)
            except SharedMemoryError as error:
                problem = str(error)
        agree(context, calls[1], problem, 0, deadline)
    except BaseException:
        if segment is not None:
            segment.close_fd()
        raise
    return link


def _connect_by_tcp(
    parent: TcpMesh,
    context: Context,
    calls: list[EncodedCall],
    members: tuple[int, ...],
    deadline: Deadline,
) -> Link | None:
    wire = None
    if parent.rank in members:
        ranks = [parent.ranks[member] for member in members]
        name = digest((parent.wire.group, parent.sequence, members)) >> 1
        wire = parent.wire.branch(members.index(parent.rank), len(members), name)
    try:
        ports = agree(context, calls[0], "", wire.port if wire else 0, deadline)
        if wire is None:
            return None
        hosts = [parent.addresses[member].rpartition(":")[0] for member in members]
        addresses = [f"{host}:{ports[member]}" for host, member in zip(hosts, members, strict=True)]
        mesh = join_tcp.link(wire, ranks, addresses, deadline)
    except BaseException:
        if wire is not None:
            wire.close()
        raise
    processes = tuple(context.processes[member] for member in members)
    return Link(mesh, processes, ProcessWatch({}))


def _open(context: Context, segment: Segment, members: tuple[int, ...], fds: Sequence[int]) -> Link:
    processes = [context.processes[member] for member in members]
    ranks = [context.mesh.ranks[member] for member in members]
    own = members.index(context.mesh.rank)
    pages = open_pages(segment, own, processes, [fds[member] for member in members])
    watch = watch_peers(own, ranks, processes)
    return Link(SharedMesh(own, ranks, pages, STAGE_BYTES, watch), tuple(processes), watch)
