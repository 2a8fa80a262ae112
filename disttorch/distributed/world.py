"""The default process group: joining the job, asking who one is, leaving."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from disttorch.comm.group import ProcessGroup as ArrayGroup
from disttorch.comm.store import HashStore, PrefixStore
from disttorch.comm.store.base import Store
from disttorch.distributed.backend import Backend, BackendConfig, check_backend, plugin_of
from disttorch.distributed.own_group import OwnGroup
from disttorch.distributed.process_group import BackendOptions, OnArrays, ProcessGroup
from disttorch.distributed.rendezvous import find_job

_NO_GROUP = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class GroupMember:
    """Markers for groups, as in PyTorch."""

    WORLD: Any = None
    NON_GROUP_MEMBER = object()


class group(GroupMember):
    """``group.WORLD`` is the default process group, None before `init_process_group`."""


class _World:
    group: ArrayGroup | OnArrays | None = None
    store: Store | None = None
    """That in which the ranks met, None for a job of one rank."""
    owns_store = False
    n_more = 0
    n_named = 0
    """How many groups this job has given a number to: the same on all ranks."""
    n_shrunk = 0
    n_local: ClassVar[dict[tuple[int, ...], int]] = {}
    """How many groups of some ranks this one has made with them alone."""
    backend = "zmq"
    named: ClassVar[WeakValueDictionary[str, Any]] = WeakValueDictionary()


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
    _World.store, _World.owns_store = store, owned
    try:
        if plugin_of(backend) is None:
            own = OwnGroup.from_env(env, store, timeout_s)
            own.store = store
            own.name.backend = "zmq" if backend is None else Backend(backend)
            arrays, joined = own, own
        else:
            ranks = range(env.world_size)
            timeout_s = env.timeout_s if timeout_s is None else timeout_s
            joined = make_plugged(str(backend), ranks, env.rank, timeout_s, "0", pg_options)
            arrays = joined.arrays
    except BaseException:
        _close_store()
        raise
    _World.group, GroupMember.WORLD = arrays, joined
    _World.backend = "zmq" if backend is None else Backend(backend)
    _World.n_named = 0
    name_group(joined, "default_pg")


def make_plugged(
    backend: str, ranks: Sequence[int], rank: int, timeout_s: float, name: str, pg_options: Any
) -> Any:
    """This process's group of a registered backend; TypeError if that makes something else."""
    plugin = plugin_of(backend)
    assert plugin is not None
    store, limit = PrefixStore(name, _World.store or HashStore()), timedelta(seconds=timeout_s)
    if plugin.extended_api:
        told = BackendOptions(store, rank, len(ranks), limit, name, list(ranks))
        made = plugin.creator_fn(told, pg_options)
    else:
        made = plugin.creator_fn(store, rank, len(ranks), limit)
    if not isinstance(made, ProcessGroup):
        raise TypeError(
            f"backend {backend!r} made {type(made)}, which is not derived from "
            "torch.distributed.ProcessGroup"
        )
    made._set_group_name(name)
    made.arrays = OnArrays(made, ranks, rank, timeout_s)
    return made


def name_group(made: Any, group_desc: str | None, name: str | None = None) -> None:
    """Name a group, None on a rank that is not in it, by default with a number: all ranks count."""
    if name is None:
        name, _World.n_named = str(_World.n_named), _World.n_named + 1
    if isinstance(made, ProcessGroup):
        made._set_group_name(name)
        made._set_group_desc("undefined" if group_desc is None else group_desc)
        _World.named[name] = made


def group_of_name(name: str) -> Any:
    """The group with a `group_name`; RuntimeError if there is none."""
    if name not in _World.named:
        raise RuntimeError(f"Could not resolve the process group registered under the name {name}")
    return _World.named[name]


def _close_store() -> None:
    if _World.store is not None and _World.owns_store:
        _World.store.close()
    _World.store = None


def destroy_process_group(group: Any = None) -> None:
    """Leave a group, by default the whole job. Waits for no other rank."""
    if group is None or group is _World.group or (group is GroupMember.WORLD):
        if _World.group is None:
            raise AssertionError("Process group cannot be None: there is none to leave")
        _World.group.close()
        _World.group = GroupMember.WORLD = None
        _World.n_more = 0
        _World.named.clear()
        _World.n_local.clear()
        _close_store()
    elif group is not GroupMember.NON_GROUP_MEMBER:
        if not isinstance(group, (ArrayGroup, ProcessGroup)):
            raise ValueError(f"Invalid process group specified: {group!r}")
        resolve_group(group).close()
        _World.n_more -= 1


def resolve_group(group: Any) -> ArrayGroup:
    """Return what `group`, or for None the default one, is on arrays; ValueError if none."""
    if group is None:
        if _World.group is None:
            raise ValueError(_NO_GROUP)
        return _World.group  # type: ignore[return-value]  # OnArrays has the same methods
    if isinstance(group, (ArrayGroup, OnArrays)):
        return group  # type: ignore[return-value]
    if group is GroupMember.NON_GROUP_MEMBER:
        raise ValueError("Invalid process group specified or calling rank is not part of the group")
    arrays = getattr(group, "arrays", None)
    if not isinstance(arrays, OnArrays):
        raise ValueError(
            f"Process group {group} is not initialized in the world group map. Please initialize "
            "the group first."
        )
    return arrays  # type: ignore[return-value]


def get_rank(group: Any = None) -> int:
    """Return this process's rank in a group, -1 if it is no member."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else int(resolve_group(group).rank)


def get_world_size(group: Any = None) -> int:
    """Return the number of ranks in a group, -1 for a group this process is no member of."""
    return -1 if group is GroupMember.NON_GROUP_MEMBER else int(resolve_group(group).size)


def get_backend(group: Any = None) -> str:
    """Return the name under which the job's backend was asked for, by default "zmq"."""
    own = resolve_group(group)
    return own.name.backend if isinstance(own, OwnGroup) else _World.backend


def get_backend_config(group: Any = None) -> str:
    """Return the backend of each kind of device, as PyTorch writes it."""
    return repr(BackendConfig(Backend(get_backend(group))))


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
