"""The default process group: joining the job, asking who one is, leaving."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from disttorch.comm.group import ProcessGroup
from disttorch.comm.store.base import Store
from disttorch.distributed.backend import Backend, check_backend
from disttorch.distributed.rendezvous import find_job

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
    n_more = 0
    backend = "zmq"


def is_available() -> bool:
    """Return True: collectives are part of every installation."""
    return True


def is_initialized() -> bool:
    """Return whether the default process group has been set up."""
    return _World.group is not None


def is_torchelastic_launched() -> bool:
    """Return whether a launcher started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """Return this process's number on its host; RuntimeError if unknown and no fallback given."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context "
        "and want the code to run locally instead."
    )


def get_pg_count() -> int:
    """Return how many process groups this process has made and not destroyed."""
    return int(is_initialized()) + _World.n_more


def seconds(timeout: timedelta | float | None) -> float | None:
    """Convert PyTorch's time-outs (timedelta, or seconds) to seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


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

    Rank, world size and store come from the launcher's environment (``env://``), from `rank`,
    `world_size` and the `init_method` ``tcp://host:port`` or ``file:///path``, or, with `store`,
    from the arguments. A script started without a launcher is a job of one rank. `timeout` is the
    default of every collective (timedelta or seconds; 300 s unless the launcher says otherwise).

    Raises ValueError if called twice or for an unknown backend or init method, StoreTimeoutError
    or PeerLostError if the other ranks do not come.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    check_backend(backend)
    timeout_s = seconds(timeout)
    env, store, owned = find_job(init_method, world_size, rank, store, timeout_s)
    _World.store = store if owned else None
    try:
        joined = ProcessGroup.from_env(env, store, timeout_s)
    except BaseException:
        _close_store()
        raise
    _World.group = GroupMember.WORLD = joined
    _World.backend = "zmq" if backend is None else Backend(backend)


def _close_store() -> None:
    if _World.store is not None:
        _World.store.close()
        _World.store = None


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Leave a group, by default the whole job. Waits for no other rank."""
    if group is None or group is _World.group:
        if _World.group is None:
            raise AssertionError("Process group cannot be None: there is none to leave")
        _World.group.close()
        _World.group = GroupMember.WORLD = None
        _World.n_more = 0
        _close_store()
    elif group is not GroupMember.NON_GROUP_MEMBER:
        if not isinstance(group, ProcessGroup):
            raise ValueError(f"Invalid process group specified: {group!r}")
        group.close()
        _World.n_more -= 1


def resolve_group(group: Any) -> ProcessGroup:
    """Return `group`, or the default one for None; ValueError if there is none to use."""
    if group is None:
        if _World.group is None:
            raise ValueError(_NO_GROUP)
        return _World.group
    if group is GroupMember.NON_GROUP_MEMBER:
        raise ValueError("Invalid process group specified or calling rank is not part of the group")
    if not isinstance(group, ProcessGroup):
        raise ValueError(
            f"Process group {group} is not initialized in the world group map. Please initialize "
            "the group first."
        )
    return group


def get_rank(group: Any = None) -> int:
    """Return this process's rank in a group, -1 if it is no member."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else int(resolve_group(group).rank)


def get_world_size(group: Any = None) -> int:
    """Return the number of ranks in a group, -1 for a group this process is no member of."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else int(resolve_group(group).size)


def get_backend(group: Any = None) -> str:
    """Return the name under which the job's backend was asked for, by default "zmq"."""
    resolve_group(group)
    return _World.backend


def get_backend_config(group: Any = None) -> str:
    """Return the backend of each kind of device, as PyTorch writes it."""
    return f"cpu:{get_backend(group)},cuda:{get_backend(group)}"


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
