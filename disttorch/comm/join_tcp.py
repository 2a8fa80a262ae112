"""How ranks that share no memory are joined: each publishes a port, all connect to all."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence

from disttorch.comm.curve import JobKey
from disttorch.comm.deadline import Deadline
from disttorch.comm.header import digest
from disttorch.comm.store.base import Store
from disttorch.comm.tcp_mesh import TcpMesh
from disttorch.comm.transport.arena import Layout
from disttorch.comm.transport.process import ProcessWatch
from disttorch.comm.transport.tcp import Wire

STAGE_BYTES = 1 << 20
_LOOPBACK = "127.0.0.1"


def is_forced(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ranks on one host are to use TCP, too: DISTTORCH_TRANSPORT=tcp."""
    return environ.get("DISTTORCH_TRANSPORT", "") == "tcp"


def join(
    store: Store, rank: int, size: int, attempt: int, one_host: bool, deadline: Deadline
) -> TcpMesh:
    """The mesh of all ranks that use `store`, which hands the key round if there is none yet.

    A store across hosts is itself served to holders of the job's key only; on one host it lies in
    a directory of this user.
    """
    prefix = f"wire/{attempt}"
    key = JobKey.from_environ()
    if key is None:
        if rank == 0:
            store.set(f"{prefix}/key", JobKey.new().to_text())
        text = store.get(f"{prefix}/key", deadline.remaining_s())
        key = JobKey.from_text(text.decode())
    host = own_address() if not one_host or os.environ.get("DISTTORCH_ADDR") else _LOOPBACK
    wire = Wire(rank, size, digest(prefix) >> 1, key, host)
    try:
        names = [f"{prefix}/{peer}" for peer in range(size)]
        store.set(names[rank], wire.address)
        addresses = [a.decode() for a in store.multi_get(names, deadline.remaining_s())]
        return link(wire, range(size), addresses, deadline)
    except BaseException:
        wire.close()
        raise


def link(wire: Wire, ranks: Sequence[int], addresses: Sequence[str], deadline: Deadline) -> TcpMesh:
    """Connect a wire to its peers; returns on no rank before all have connected."""
    for peer, address in enumerate(addresses):
        if peer != wire.rank:
            wire.connect(peer, address)
    mesh = TcpMesh(ranks, wire, addresses, Layout(len(ranks), STAGE_BYTES, 0), ProcessWatch({}))
    mesh.sync(deadline)
    return mesh


def own_address(environ: Mapping[str, str] = os.environ) -> str:
    """This host's address on the interface that leads to the master, or DISTTORCH_ADDR."""
    given = environ.get("DISTTORCH_ADDR", "")
    if given:
        return given
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks the routing table.
            probe.connect((environ.get("MASTER_ADDR", "") or _LOOPBACK, 9))
        except OSError:
            return _LOOPBACK
        return str(probe.getsockname()[0])
