"""TCPStore: one rank serves the store, at a port that all ranks know.

On one host the port is only a name: the store is a socket in a directory of this user alone, and
the port is held so that no other job takes it. Across hosts it is TCP, between holders of the
job's key (`curve`).
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta

from disttorch.comm.curve import VARIABLE, JobKey
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import DistNetworkError, StoreTimeoutError
from disttorch.comm.store.client import ZmqStore
from disttorch.comm.store.server import StoreServer

_WORKERS = "init/"
_POLL_S = 5e-3


class TCPStore(ZmqStore):
    """Store that the rank with `is_master` serves at `host_name` and `port` (0: any, see `port`).

    With `wait_for_workers`, the master returns once `world_size` ranks have connected. Raises
    DistNetworkError if the port is taken, or if `host_name` is another host and there is no key in
    the environment (DISTTORCH_KEY, the same on all hosts); StoreTimeoutError if ranks do not come.
    """

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout_s: timedelta | float = 300.0,
        wait_for_workers: bool = True,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.host = host_name
        self._server: StoreServer | None = None
        self._held: socket.socket | None = None
        key = JobKey.from_environ(environ)
        if key is None and not _is_this_host(host_name):
            raise DistNetworkError(
                f"{host_name} is not this host's loopback address: set {VARIABLE} to one secret on "
                f"all hosts (`openssl rand -hex 32`), or use localhost if all ranks are on one host"
            )
        held_by_launcher = environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if is_master and key is None:
            self._held = None if held_by_launcher and port else _hold(port)
            port = self._held.getsockname()[1] if self._held else port
        address = _path_address(port) if key is None else f"tcp://{host_name}:{port or '*'}"
        if is_master:
            self._server = StoreServer(_bindable(address, key), key)
            self._server.start()
            if key is not None:
                port = int(self._server.address.rpartition(":")[2])
                address = f"tcp://{host_name}:{port}"
        self.port = port
        super().__init__(address, timeout_s, key)
        self.add(_WORKERS, 1)
        if is_master and wait_for_workers and world_size is not None:
            self._wait_for_workers(world_size)

    def list_keys(self) -> list[str]:
        """The keys that are set; that in which workers are counted is not told."""
        return [key for key in super().list_keys() if key != _WORKERS]

    def clone(self) -> TCPStore:
        """Another client of the same server; the server ends with the original."""
        twin = super().clone()
        assert isinstance(twin, TCPStore)
        twin._server = twin._held = None
        return twin

    def close(self) -> None:
        """Close the connections; on the master also the store itself."""
        super().close()
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            self._held.close()

    def _wait_for_workers(self, world_size: int) -> None:
        deadline = Deadline.after(self.timeout_s)
        while (n_here := self.add(_WORKERS, 0)) < world_size:
            if deadline.expired():
                self.close()
                raise StoreTimeoutError(
                    f"Timed out after {deadline.timeout_s:g} seconds waiting for clients. "
                    f"{n_here}/{world_size} clients joined."
                )
            time.sleep(_POLL_S)


def _is_this_host(host_name: str) -> bool:
    if host_name in {"localhost", "::1", socket.gethostname()}:
        return True
    return host_name.startswith("127.")


def _hold(port: int) -> socket.socket:
    """Keep a port of the loopback address to oneself; nothing is ever accepted there."""
    held = socket.socket(socket.AF_INET)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        held.listen(1)
    except OSError as error:
        held.close()
        raise DistNetworkError(
            f"The server socket has failed to listen on port {port}: {error.strerror}"
        ) from None
    return held


def _path_address(port: int) -> str:
    folder = os.path.join(tempfile.gettempdir(), f"disttorch-stores-{os.geteuid()}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    return f"ipc://{folder}/{port}.sock"


def _bindable(address: str, key: JobKey | None) -> str:
    # A name of this host need not be that of the interface by which others reach it.
    return address if key is None else f"tcp://*:{address.rpartition(':')[2]}"
