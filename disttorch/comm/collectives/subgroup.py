"""A new group of some ranks of a group, connected through it."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm import join_tcp
from disttorch.comm.collectives.allocate import agree
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.connect import STAGE_BYTES, Link, layout_for
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.header import EncodedCall, digest
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.peers import open_pages, watch_peers
from disttorch.comm.tcp_mesh import TcpMesh
from disttorch.comm.transport.process import by_host
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

    one_host = len(by_host([context.processes[member] for member in members])) == 1

    def run(deadline: Deadline) -> None:
        if one_host:
            joined = _connect(context, calls, members, deadline)
        else:
            joined = _connect_by_tcp(context, calls, members, deadline)
        if joined is not None:
            results.append(joined)

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
                context.mesh.raise_if_left([peer for peer in members if peer != rank])
                problem = str(error)
        agree(context, calls[1], problem, 0, deadline)
    except BaseException:
        if segment is not None:
            segment.close_fd()
        raise
    return link


def _connect_by_tcp(
    context: Context, calls: list[EncodedCall], members: tuple[int, ...], deadline: Deadline
) -> Link | None:
    parent = context.mesh
    # A group across hosts is part of one that is.
    assert isinstance(parent, TcpMesh)
    problem, segment, wire = "", None, None
    if parent.rank in members:
        name = digest((parent.wire.group, parent.sequence, members)) >> 1
        wire = parent.wire.branch(members.index(parent.rank), len(members), name)
        try:
            segment = join_tcp.new_segment(len(members))
        except SharedMemoryError as error:
            problem = str(error)
    watch = None
    try:
        fds = agree(context, calls[0], problem, segment.fd if segment else -1, deadline)
        numbers = agree(context, calls[1], "", wire.port if wire else 0, deadline)
        if wire is None or segment is None:
            return None
        hosts = [address.rpartition(":")[0] for address in parent.addresses]
        ports = [join_tcp.Port(f"{hosts[m]}:{numbers[m]}", fds[m]) for m in members]
        processes = [context.processes[member] for member in members]
        ranks = [parent.ranks[member] for member in members]
        watch = watch_peers(wire.rank, ranks, processes)
        mesh = join_tcp.link(wire, segment, ranks, processes, ports, watch, deadline)
    except BaseException:
        for held in (wire, watch):
            if held is not None:
                held.close()
        if segment is not None:
            segment.close_fd()
        raise
    return Link(mesh, tuple(processes), watch)


def _open(context: Context, segment: Segment, members: tuple[int, ...], fds: Sequence[int]) -> Link:
    processes = [context.processes[member] for member in members]
    ranks = [context.mesh.ranks[member] for member in members]
    own, layout = members.index(context.mesh.rank), layout_for(len(members))
    pages = open_pages(segment, layout, own, processes, [fds[member] for member in members])
    watch = watch_peers(own, ranks, processes)
    return Link(SharedMesh(own, ranks, pages, STAGE_BYTES, watch), tuple(processes), watch)
