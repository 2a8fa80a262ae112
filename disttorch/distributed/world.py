"""The default process group: joining the job, asking who one is, leaving."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from disttorch.comm.env import DEFAULT_TIMEOUT_S, RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store.base import Store

_BACKENDS = ("zmq", "gloo", "shm")
_NO_GROUP = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class GroupMember:
    """Markers for groups, as in PyTorch."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = object()


class group(GroupMember):
    """``group.WORLD`` is the default process group, None before `init_process_group`."""


class _World:
    group: ProcessGroup | None = None
    store: Store | None = None


def is_available() -> bool:
    """Return True: collectives are part of every installation."""
    return True


def is_initialized() -> bool:
    """Return whether the default process group has been set up."""
    return _World.group is not None


def is_torchelastic_launched() -> bool:
    """Return whether a launcher started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def seconds(timeout: timedelta | float | None) -> float | None:
    """Convert PyTorch's time-outs (timedelta, or seconds) to seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def _check_backend(backend: str | None) -> None:
    if backend is None:
        return
    names = [part.partition(":")[2] or part for part in backend.lower().split(",")]
    for name in names:
        if name in {"nccl", "mpi", "ucc", "xccl"}:
            raise RuntimeError(
                f"Distributed package doesn't have {name.upper()} built in; use "
                'init_process_group() or backend="zmq"'
            )
        if name not in _BACKENDS:
            raise ValueError(f"Invalid backend: '{backend}'; expected one of {list(_BACKENDS)}")
    if "gloo" in names:
        warnings.warn(
            'backend "gloo" means disttorch\'s own transport here; "zmq" is its name',
            stacklevel=3,
        )


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | float | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Join the job's ranks and make the default process group.

    Rank, world size and store come from the launcher's environment (``env://``) or, with `store`,
    from the arguments. A script started without a launcher is a job of one rank. `timeout` is the
    default of every collective (timedelta or seconds; 300 s unless the launcher says otherwise).

    Raises RuntimeError if called twice, ValueError for an unknown backend or init method,
    CollectiveTimeoutError or PeerLostError if the other ranks do not come.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    _check_backend(backend)
    if init_method not in {None, "env://"}:
        raise ValueError(
            f"init_method {init_method!r} is not known; use env:// (the default, set by "
            "disttorch-launch) or pass store=, rank= and world_size="
        )
    if store is not None and (rank < 0 or world_size < 0):
        raise ValueError("with store=, both rank= and world_size= are needed")
    timeout_s = seconds(timeout)
    env = _rank_env(store, rank, world_size, timeout_s)
    if store is None and env.world_size > 1:
        store = _launchers_store(env)
        _World.store = store
    try:
        joined = ProcessGroup.from_env(env, store, timeout_s)
    except BaseException:
        _close_store()
        raise
    _World.group = GroupMember.WORLD = joined


def _rank_env(store: Store | None, rank: int, world_size: int, timeout_s: float | None) -> RankEnv:
    if store is not None:
        return RankEnv(
            rank, world_size, timeout_s=DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
        )
    if "RANK" not in os.environ and "WORLD_SIZE" not in os.environ:
        return RankEnv(0, 1)
    return RankEnv.from_environ(os.environ)


def _launchers_store(env: RankEnv) -> Store:
    if not env.store:
        raise ValueError(
            "environment variable DISTTORCH_STORE expected, but not set; start the script with "
            "`disttorch-launch --nproc N script.py`"
        )
    from disttorch.comm.store.client import ZmqStore  # noqa: PLC0415 - zmq only when it is needed

    return ZmqStore(env.store, env.timeout_s)


def _close_store() -> None:
    if _World.store is not None:
        _World.store.close()
        _World.store = None


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Leave a group, by default the whole job. Waits for no other rank."""
    if group is None or group is _World.group:
        resolve_group(None).close()
        _World.group = GroupMember.WORLD = None
        _close_store()
    else:
        group.close()


def resolve_group(group: Any) -> ProcessGroup:
    """Return `group`, or the default one for None; ValueError if there is none to use."""
    if group is None:
        if _World.group is None:
            raise ValueError(_NO_GROUP)
        return _World.group
    if group is GroupMember.NON_GROUP_MEMBER:
        raise ValueError("Invalid process group specified or calling rank is not part of the group")
    return group  # type: ignore[no-any-return]


def get_rank(group: Any = None) -> int:
    """Return this process's rank in a group, -1 if it is no member."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else resolve_group(group).rank


def get_world_size(group: Any = None) -> int:
    """Return the number of ranks in a group, -1 for a group this process is no member of."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else resolve_group(group).size


def get_backend(group: Any = None) -> str:
    """Return the name of a group's backend: "zmq"."""
    resolve_group(group)
    return "zmq"


def get_process_group_ranks(group: Any = None) -> list[int]:
    """Return the global ranks of a group, in the order of their group ranks."""
    return list(resolve_group(group).ranks)


def get_group_rank(group: Any, global_rank: int) -> int:
    """Translate a global rank to a group's; ValueError if it is not in the group."""
    ranks = get_process_group_ranks(group)
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {ranks}")
    return ranks.index(global_rank)


def get_global_rank(group: Any, group_rank: int) -> int:
    """Translate a group rank to the global one; ValueError if the group has no such rank."""
    ranks = get_process_group_ranks(group)
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {ranks}")
    return ranks[group_rank]


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | float | None = None,
    backend: str | None = None,
    **_: Any,
) -> Any:
    """Make a group of some global ranks; all ranks of the job must call this alike.

    Returns the group, or `GroupMember.NON_GROUP_MEMBER` on ranks that are not in it.
    """
    _check_backend(backend)
    world = resolve_group(None)
    chosen = list(range(world.size)) if ranks is None else sorted(ranks)
    made = world.new_group(chosen, timeout_s=seconds(timeout))
    return GroupMember.NON_GROUP_MEMBER if made is None else made
