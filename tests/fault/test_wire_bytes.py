"""Bytes that change on their way between two ranks: an error within its time, or the right number.

Rank 0 reaches rank 1 through a proxy that does something to one of the pieces that it passes on.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm.errors import CollectiveTimeoutError, PeerLostError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.transport.tcp import Wire
from tests.comm.ranks import run_ranks

Fault = Callable[[bytes], list[bytes]]
TIMEOUT_S = 3.0


def flipped(piece: bytes) -> list[bytes]:
    middle = len(piece) // 2
    return [piece[:middle], bytes([piece[middle] ^ 1]), piece[middle + 1 :]]


def held_back(piece: bytes) -> list[bytes]:
    time.sleep(0.1)
    return [piece]


FAULTS: dict[str, Fault] = {
    "a bit flipped": flipped,
    "truncated": lambda piece: [piece[:-100]],
    "cut at the front": lambda piece: [piece[100:]],
    "duplicated": lambda piece: [piece, piece],
    "lost": lambda piece: [],
}


class Proxy:
    """Passes on what comes at `address` to a wire; once `armed`, `fault` gets the next piece."""

    def __init__(self, target: str, fault: Fault) -> None:
        self._target = target.removeprefix("tcp://").rsplit(":", 1)
        self._fault = fault
        self.armed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client = self._server.accept()[0]
            server = socket.create_connection((self._target[0], int(self._target[1])))
            for ends in ((client, server), (server, client)):
                harmed = ends[0] is client
                threading.Thread(target=self._pass_on, args=(*ends, harmed), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, harmed: bool) -> None:
        try:
            while piece := source.recv(1 << 16):
                pieces = [piece]
                if harmed and self.armed.is_set() and len(piece) > 1000:
                    self.armed.clear()
                    pieces = self._fault(piece)
                for part in pieces:
                    sink.sendall(part)
        except OSError:
            pass
        for end in (source, sink):
            end.close()


@pytest.mark.parametrize("fault", [*FAULTS, "delayed"])
def test_a_damaged_step_is_never_a_wrong_number(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")
    connect, proxies = Wire.connect, []

    def by_proxy(wire: Wire, peer: int, address: str) -> None:
        if wire.rank == 0:
            proxies.append(Proxy(address, FAULTS.get(fault, held_back)))
            address = proxies[-1].address
        connect(wire, peer, address)

    monkeypatch.setattr(Wire, "connect", by_proxy)

    def body(group: ProcessGroup) -> tuple[str, float]:
        group.barrier()
        for proxy in proxies:
            proxy.armed.set()
        started_s = time.monotonic()
        try:
            for _ in range(3):
                array = np.full(5000, 1.0 + group.rank)
                group.all_reduce(array, timeout_s=TIMEOUT_S)
                assert (array == 3.0).all()
        except (PeerLostError, CollectiveTimeoutError) as error:
            assert error.ranks == (1 - group.rank,)
            return type(error).__name__, time.monotonic() - started_s
        assert not proxies or not proxies[0].armed.is_set()
        return "", time.monotonic() - started_s

    results = run_ranks(2, body)
    assert all(seconds < TIMEOUT_S + 1 for _, seconds in results)
    assert all(bool(error) is (fault != "delayed") for error, _ in results), results
