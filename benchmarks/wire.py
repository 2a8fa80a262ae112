"""all_reduce over TCP against a ring of bare sockets: `python -m benchmarks.wire`.

Two ranks, in two network namespaces joined by a virtual cable where this user may make them, else
over the loopback interface. Both ways in the same processes, in turn, best of several; the bare
ring neither encrypts nor checks anything. `--json FILE` keeps the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIZES = (1 << 10, 64 << 10, 1 << 20, 25 << 20, 100 << 20)
N_LARGE, N_SMALL = 3, 30
NAMESPACES = ("dtwire0", "dtwire1")
PORTS = (29611, 29612)


class BareRing:
    """The two steps of a ring of two: half of the array each way, added, then the sum back."""

    def __init__(self, rank: int, peer: str) -> None:
        if rank == 0:
            with socket.create_server(("", PORTS[1])) as server:
                self._socket = server.accept()[0]
        else:
            self._socket = _connected(peer, PORTS[1])
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rank = rank

    def all_reduce(self, array: np.ndarray) -> None:
        """Sum over both ranks in place."""
        halves = np.array_split(array, 2)
        own, other = halves[self._rank], halves[1 - self._rank]
        came = np.empty_like(own)
        self._exchange(other, came)
        own += came
        self._exchange(own, other)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _exchange(self, out: np.ndarray, into: np.ndarray) -> None:
        sender = threading.Thread(target=self._socket.sendall, args=(out.view(np.uint8).data,))
        sender.start()
        space = into.view(np.uint8).data
        while space.nbytes:
            space = space[self._socket.recv_into(space) :]
        sender.join()


def _connected(host: str, port: int) -> socket.socket:
    end_s = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)


def rank_main(rank: int, hosts: list[str]) -> None:
    """Measure as one of the two ranks; rank 0 prints the figures."""
    import disttorch.distributed as dist

    os.environ["DISTTORCH_ADDR"] = hosts[rank]
    dist.init_process_group(
        init_method=f"tcp://{hosts[0]}:{PORTS[0]}", rank=rank, world_size=2, timeout=60
    )
    group = dist.group.WORLD
    assert group is not None
    bare, rows = BareRing(rank, hosts[0]), []
    for nbytes in SIZES:
        best = [float("inf"), float("inf")]
        array = np.ones(nbytes // 4, np.float32)
        for _ in range(N_LARGE if nbytes > 1 << 20 else N_SMALL):
            for way, reduce in enumerate((group.all_reduce, bare.all_reduce)):
                array[...] = 1 + rank
                group.barrier()
                begun_s = time.perf_counter()
                reduce(array)
                best[way] = min(best[way], time.perf_counter() - begun_s)
                assert array[0] == array[-1] == 3
        rows.append({"nbytes": nbytes, "disttorch_s": best[0], "bare_s": best[1]})
    if rank == 0:
        print(json.dumps(rows))
    bare.close()
    dist.destroy_process_group()


@contextlib.contextmanager
def places() -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """What joins the ranks, their addresses, and the words before the command of each."""

    def run(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    with contextlib.ExitStack() as undo:
        try:
            for name in NAMESPACES:
                run("ip", "netns", "add", name)
                undo.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
            a, b = NAMESPACES
            run("ip", "link", "add", a, "netns", a, "type", "veth", "peer", b, "netns", b)
            for i, name in enumerate(NAMESPACES, 1):
                run("ip", "-n", name, "address", "add", f"10.77.0.{i}/24", "dev", name)
                run("ip", "-n", name, "link", "set", name, "up")
                run("ip", "-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError):
            yield "loopback", ["127.0.0.1", "127.0.0.1"], [[], []]
            return
        words = [["ip", "netns", "exec", name] for name in NAMESPACES]
        yield "two network namespaces", ["10.77.0.1", "10.77.0.2"], words


def main() -> None:
    """Start both ranks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rank", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--hosts", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank >= 0:
        rank_main(options.rank, options.hosts.split(","))
        return
    environ = os.environ | {"DISTTORCH_TRANSPORT": "tcp", "DISTTORCH_KEY": os.urandom(32).hex()}
    with places() as (joined_by, hosts, prefixes):
        ranks = [
            subprocess.Popen(
                [*prefix, sys.executable, "-m", "benchmarks.wire", "--rank", str(rank),
                 "--hosts", ",".join(hosts)], env=environ, stdout=subprocess.PIPE, text=True,
            )
            for rank, prefix in enumerate(prefixes)
        ]  # fmt: skip
        out = [rank.communicate(timeout=300)[0] for rank in ranks]
        rows = json.loads(out[0])
    print(f"all_reduce of float32, 2 ranks, {joined_by}; bare sockets neither encrypt nor check")
    for row in rows:
        ours, bare = row["disttorch_s"], row["bare_s"]
        print(
            f"{row['nbytes']:>10} bytes  disttorch {1e3 * ours:9.3f} ms  bare sockets "
            f"{1e3 * bare:9.3f} ms  speed {bare / ours:.2f}x"
        )
    if options.json:
        text = json.dumps({"joined_by": joined_by, "rows": rows}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
