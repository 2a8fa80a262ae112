"""How ranks on several hosts are joined: each publishes a port, and connects to other hosts'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm.addresses import own_address
from disttorch.comm.arrivals import wait_for_ranks
from disttorch.comm.curve import JobKey
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import DistNetworkError, SharedMemoryError
from disttorch.comm.header import digest
from disttorch.comm.peers import open_pages, raise_if_lost
from disttorch.comm.store.base import Store
from disttorch.comm.tcp_mesh import TcpMesh
from disttorch.comm.transport.arena import Layout
from disttorch.comm.transport.process import ProcessId, ProcessWatch, by_host
from disttorch.comm.transport.segment import Segment
from disttorch.comm.transport.tcp import Wire

STAGE_BYTES = 1 << 20
_RING_BYTES = 256 << 10


@dataclass(frozen=True)
class Port:
    """Where a rank is reached: its wire's address, and its segment's descriptor on its host."""

    address: str
    fd: int

    def to_text(self) -> str:
        """As text for the store."""
        return f"{self.address} {self.fd}"

    @classmethod
    def from_text(cls, text: bytes) -> Port:
        """The port in a rank's text; raises DistNetworkError if it is not one."""
        address, _, fd = text.decode(errors="replace").partition(" ")
        if not address or not fd.isdigit():
            raise DistNetworkError(f"not the port of a rank: {text[:80]!r}")
        return cls(address, int(fd))


def join(
    store: Store,
    rank: int,
    attempt: int,
    processes: Sequence[ProcessId],
    watch: ProcessWatch,
    deadline: Deadline,
    ranks: Sequence[int],
) -> TcpMesh:
    """The mesh of all ranks that use `store`, which hands the key round if there is none yet.

    A store across hosts is itself served to holders of the job's key only; on one host it lies in
    a directory of this user. Raises PeerLostError if a rank ends first.
    """
    prefix = f"wire/{attempt}"
    key = JobKey.from_environ()
    if key is None:
        if rank == 0:
            store.set(f"{prefix}/key", JobKey.new().to_text())
        wait_for_ranks(store, rank, [f"{prefix}/key"], attempt, deadline, watch)
        key = JobKey.from_text(store.get(f"{prefix}/key").decode())
    size = len(processes)
    segment = new_segment(size)
    wire = None
    try:
        wire = Wire(rank, size, digest(prefix) >> 1, key, own_address())
        names = [f"{prefix}/{peer}" for peer in range(size)]
        store.set(names[rank], Port(wire.address, segment.fd).to_text())
        wait_for_ranks(store, rank, names, attempt, deadline, watch)
        ports = [Port.from_text(text) for text in store.multi_get(names)]
        return link(wire, segment, ranks, processes, ports, watch, deadline)
    except BaseException:
        if wire is not None:
            wire.close()
        segment.close_fd()
        raise


def new_segment(n_ranks: int) -> Segment:
    """Memory for a rank's page in a group across hosts; raises SharedMemoryError if it is short."""
    layout = _layout(n_ranks)
    return Segment(layout.nbytes, layout.rings_at)


def link(
    wire: Wire,
    segment: Segment,
    ranks: Sequence[int],
    processes: Sequence[ProcessId],
    ports: Sequence[Port],
    watch: ProcessWatch,
    deadline: Deadline,
) -> TcpMesh:
    """Connect a rank to its peers; returns on no rank before all have connected.

    Raises PeerLostError if one ended first.
    """
    own, layout = wire.rank, _layout(len(ranks))
    try:
        pages = open_pages(segment, layout, own, processes, [port.fd for port in ports])
    except SharedMemoryError:
        raise_if_lost(ranks[own], watch)
        raise
    for peer, port in enumerate(ports):
        if processes[peer].host != processes[own].host:
            wire.connect(peer, port.address)
    addresses = [port.address for port in ports]
    hosts = by_host(processes)
    mesh = TcpMesh(ranks, wire, addresses, hosts, pages, layout.stage_bytes, watch)
    mesh.sync(deadline)
    # All have spoken, so all are connected.
    wire.shut()
    return mesh


def _layout(n_ranks: int) -> Layout:
    return Layout(n_ranks, STAGE_BYTES, _RING_BYTES)
