"""The ring of bare sockets that TCP is measured against computes what it should."""

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks import wire


def test_bare_ring(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(wire, "PORTS", (0, port))

    def rank(number):
        ring = wire.BareRing(number, "127.0.0.1")
        sums = []
        for size in (1, 2, 7, 100_001):
            array = np.arange(size, dtype=np.float32) + number
            ring.all_reduce(array)
            sums.append(np.array_equal(array, 2 * np.arange(size, dtype=np.float32) + 1))
        ring.close()
        return sums

    with ThreadPoolExecutor(2) as ranks:
        assert list(ranks.map(rank, range(2))) == [[True] * 4] * 2
