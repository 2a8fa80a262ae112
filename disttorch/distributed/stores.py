"""Stores under PyTorch's argument names, where those differ from `comm`'s."""

from __future__ import annotations

from datetime import timedelta

from disttorch.comm.store.tcp_store import TCPStore as _TCPStore


class TCPStore(_TCPStore):
    """Store that the rank with `is_master` serves at a host and port; see `comm.store.TCPStore`."""

    def __init__(
        self,
        host_name: str,
        port: int,
        world_size: int | None = None,
        is_master: bool = False,
        timeout: timedelta | float = 300.0,
        wait_for_workers: bool = True,
        multi_tenant: bool = False,
        master_listen_fd: int | None = None,
        use_libuv: bool = True,
    ) -> None:
        super().__init__(host_name, port, world_size, is_master, timeout, wait_for_workers)
