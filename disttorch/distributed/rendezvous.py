"""Where a rank finds its job: from arguments, the environment or a URL to a rank and a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from disttorch.comm.env import DEFAULT_TIMEOUT_S, RankEnv
from disttorch.comm.errors import RankEnvError
from disttorch.comm.store.base import Store

if TYPE_CHECKING:
    from disttorch.comm.curve import JobKey

Job = tuple[RankEnv, Store | None, bool]
"""Who this rank is, the store to meet in, and whether it was made here and must be closed."""


Handler = Callable[..., Iterator[tuple[Store, int, int]]]
_OURS = ("env", "tcp", "file")
_HANDLERS: dict[str, Handler] = {}


def register_rendezvous_handler(scheme: str, handler: Handler) -> None:
    """Let `init_method` be a URL of a scheme of one's own.

    ``handler(url, timeout=...)`` is a generator that yields the store, the rank and the number of
    ranks; what the caller knows of the last two is in the URL's query. RuntimeError if the scheme
    has a handler.
    """
    if scheme in _OURS or scheme in _HANDLERS:
        raise RuntimeError(f"Rendezvous handler for {scheme}:// already registered")
    _HANDLERS[scheme] = handler


def find_job(
    init_method: str | None,
    world_size: int,
    rank: int,
    store: Store | None,
    timeout_s: float | None,
) -> Job:
    """The job that `init_process_group` was asked to join; ranks and sizes are -1 where not given.

    Raises ValueError for an unknown `init_method` or missing arguments.
    """
    if store is not None:
        if init_method is not None:
            raise ValueError("Cannot specify both init_method and store.")
        if rank < 0 or world_size < 0:
            raise ValueError("with store=, both rank= and world_size= are needed")
        return _by_hand(rank, world_size, timeout_s), store, False
    from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415 - 5 ms that few programs need

    url = urlsplit("env://" if init_method is None else init_method)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    rank = int(query.get("rank", rank)) if rank < 0 else rank
    world_size = int(query.get("world_size", world_size)) if world_size < 0 else world_size
    if url.scheme == "env":
        return _from_environment(rank, world_size, timeout_s, os.environ)
    if url.scheme in _HANDLERS:
        return _by_handler(url, rank, world_size, timeout_s)
    if url.scheme not in _OURS:
        raise RuntimeError(
            f"No rendezvous handler for {url.scheme}:// (init_method {init_method!r}); use env:// "
            "(the default, set by disttorch-launch), tcp://host:port, file:///path, or store="
        )
    for name, value in (("rank", rank), ("world size", world_size)):
        if value < 0:
            raise ValueError(
                f"Error initializing torch.distributed using {url.scheme}:// rendezvous: "
                f"{name} parameter missing"
            )
    env = _by_hand(rank, world_size, timeout_s)
    if url.scheme == "file":
        if not url.path:
            raise ValueError(
                "Error initializing torch.distributed using file:// rendezvous: path missing"
            )
        return env, _file_store(url.path, env), True
    if url.port is None:
        raise ValueError(
            "Error initializing torch.distributed using tcp:// rendezvous: port number missing"
        )
    return env, _tcp_store(url.hostname or "localhost", url.port, env), True


def rendezvous(
    url: str,
    rank: int = -1,
    world_size: int = -1,
    *,
    timeout: timedelta | float | None = None,
    **kwargs: Any,
) -> Iterator[tuple[Store | None, int, int]]:
    """Yield once the store, rank and world size behind an init method.

    Raises RuntimeError for arguments of wrong types; `kwargs` are PyTorch's and change nothing.
    """
    if not isinstance(url, (str, bytes)):
        raise RuntimeError(f"`url` must be a string. {type(url)}: {url}")
    for name, value in (("rank", rank), ("world_size", world_size)):
        if not hasattr(value, "__index__"):
            raise RuntimeError(f"`{name}` must be an integer. {value}")
    timeout_s = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    env, store, _ = find_job(str(url), world_size, rank, None, timeout_s)
    return iter([(store, env.rank, env.world_size)])


def _by_handler(url: Any, rank: int, world_size: int, timeout_s: float | None) -> Job:
    known = {"rank": rank, "world_size": world_size}
    given = {name for name, _, _ in (pair.partition("=") for pair in url.query.split("&"))}
    query = [url.query] if url.query else []
    query += [f"{n}={value}" for n, value in known.items() if value >= 0 and n not in given]
    timeout_s = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    whole = url._replace(query="&".join(query)).geturl()
    store, rank, world_size = next(_HANDLERS[url.scheme](whole, timeout=timedelta(0, timeout_s)))
    return _by_hand(rank, world_size, timeout_s), store, False


def _by_hand(rank: int, world_size: int, timeout_s: float | None) -> RankEnv:
    return RankEnv(
        rank, world_size, timeout_s=DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    )


def _from_environment(
    rank: int, world_size: int, timeout_s: float | None, environ: Mapping[str, str]
) -> Job:
    given = {"RANK": rank, "WORLD_SIZE": world_size}
    known = {name: str(value) for name, value in given.items() if value >= 0}
    if not known and not set(given) & set(environ):
        return RankEnv(0, 1), None, False
    env = RankEnv.from_environ({**environ, **known})
    if timeout_s is not None:
        env = replace(env, timeout_s=timeout_s)
    if env.world_size == 1:
        return env, None, False
    # A rank that starts ranks of its own names them, and they meet elsewhere.
    if env.store and all(environ.get(name) == text for name, text in known.items()):
        from disttorch.comm.store.client import ZmqStore  # noqa: PLC0415 - zmq only when needed

        return env, ZmqStore(env.store, env.timeout_s, _key(env.store, environ)), True
    for name, value in (("MASTER_ADDR", env.master_addr), ("MASTER_PORT", env.master_port)):
        if not value:
            raise RankEnvError(
                f"Error initializing torch.distributed using env:// rendezvous: environment "
                f"variable {name} expected, but not set; start the script with "
                f"`disttorch-launch --nproc N script.py`"
            )
    return env, _tcp_store(env.master_addr, env.master_port, env), True


def _tcp_store(host: str, port: int, env: RankEnv) -> Store:
    from disttorch.distributed.stores import TCPStore  # noqa: PLC0415 - zmq only when needed

    master = env.rank == 0
    return TCPStore(host, port, env.world_size, master, env.timeout_s, wait_for_workers=False)


def _file_store(path: str, env: RankEnv) -> Store:
    from disttorch.comm.store.file_store import FileStore  # noqa: PLC0415 - rarely needed

    return FileStore(path, env.world_size, env.timeout_s)


def _key(address: str, environ: Mapping[str, str]) -> JobKey | None:
    from disttorch.comm.curve import JobKey  # noqa: PLC0415 - only across hosts

    return JobKey.from_environ(environ) if address.startswith("tcp://") else None
