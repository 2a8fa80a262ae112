"""Making groups of some ranks of the job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from disttorch.comm.connect import alone, connect
from disttorch.comm.deadline import Deadline
from disttorch.comm.store import PrefixStore
from disttorch.distributed.backend import Backend, check_backend, plugin_of
from disttorch.distributed.own_group import OwnGroup
from disttorch.distributed.process_group import OnArrays
from disttorch.distributed.world import (
    GroupMember,
    _World,
    destroy_process_group,
    get_process_group_ranks,
    get_rank,
    make_plugged,
    name_group,
    resolve_group,
    seconds,
)

SHRINK_DEFAULT = 0
SHRINK_ABORT = 1


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | float | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    sort_ranks: bool = True,
) -> Any:
    """Make a group of some global ranks; all ranks of the job must call this alike.

    With `use_local_synchronization` only the ranks of the group do, and meet in the job's store.
    Returns the group, or `GroupMember.NON_GROUP_MEMBER` on ranks that are not in it. ValueError for
    ranks that are unknown or named twice.
    """
    check_backend(backend)
    world = resolve_group(None)
    chosen = list(range(world.size)) if ranks is None else list(ranks)
    if sort_ranks:
        chosen.sort()
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"ranks list must not contain duplicate entries, got {chosen}")
    for rank in chosen:
        if not 0 <= rank < world.size:
            raise ValueError(
                f"Rank {rank} is out of range. Valid ranks are 0 to {world.size - 1} "
                f"(world_size={world.size})"
            )
    if use_local_synchronization and isinstance(world, OwnGroup):
        if world.rank not in chosen:
            return GroupMember.NON_GROUP_MEMBER
        made: Any = _met(world, chosen, seconds(timeout))
        _inherit(made, world, backend)
        name_group(made, group_desc, made.name)
    else:
        made = _made(world, chosen, backend, seconds(timeout), pg_options)
        name_group(made, group_desc)
    if made is None:
        return GroupMember.NON_GROUP_MEMBER
    _World.n_more += 1
    return made


def _made(
    world: Any, ranks: list[int], backend: str | None, timeout_s: float | None, pg_options: Any
) -> Any:
    """This rank's group of some ranks of the job, None if it is none of them."""
    if backend is None and isinstance(world, OnArrays):
        backend = _World.backend
    if plugin_of(backend) is not None:
        if world.rank not in ranks:
            return None
        timeout_s = world.timeout_s if timeout_s is None else timeout_s
        rank, name = ranks.index(world.rank), str(_World.n_named)
        return make_plugged(str(backend), ranks, rank, timeout_s, name, pg_options)
    if isinstance(world, OnArrays):
        raise RuntimeError(
            f"the job's default group is of backend {_World.backend!r}, and so must its others be; "
            'begin with init_process_group("zmq") to have groups of both'
        )
    made = world.new_group(ranks, timeout_s=timeout_s)
    _inherit(made, world, backend)
    return made


def _met(world: OwnGroup, ranks: list[int], timeout_s: float | None) -> OwnGroup:
    """A group that its ranks make without the others: the n-th of these ranks, by any of them."""
    timeout_s, key = world.timeout_s if timeout_s is None else timeout_s, tuple(ranks)
    number = _World.n_local[key] = _World.n_local.get(key, 0) + 1
    name = f"local/{','.join(map(str, ranks))}/{number}"
    if len(ranks) == 1 or world.store is None:
        return OwnGroup(alone(world.rank), timeout_s, name, world.page)
    store, limit = PrefixStore(name, world.store), Deadline.after(timeout_s)
    link = connect(store, ranks.index(world.rank), len(ranks), 0, limit, ranks)
    return OwnGroup(link, timeout_s, name, world.page)


def _inherit(made: Any, parent: Any, backend: str | None) -> None:
    """What a new group is told of the one that it was made from."""
    if isinstance(made, OwnGroup) and isinstance(parent, OwnGroup):
        made.store = parent.store
        made.name.backend = parent.name.backend if backend is None else Backend(backend)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]],
    timeout: timedelta | float | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Make one group of each list of global ranks; returns this rank's group, or None, and all.

    ValueError if there are no lists or a rank is in more than one.
    """
    if not ranks_per_subgroup_list:
        raise ValueError("The arg 'ranks_per_subgroup_list' cannot be empty")
    own_rank, own, seen, made = resolve_group(None).rank, None, dict[int, int](), []
    for i, ranks in enumerate(ranks_per_subgroup_list):
        for rank in ranks:
            if rank in seen:
                raise ValueError(
                    f"Rank {rank} has appeared in both subgroup "
                    f"{list(ranks_per_subgroup_list[seen[rank]])} and {list(ranks)}"
                )
            seen[rank] = i
    for ranks in ranks_per_subgroup_list:
        group = new_group(ranks, timeout, backend, pg_options, group_desc=group_desc)
        made.append(group)
        if own_rank in ranks:
            own = group
    return own, made


def new_subgroups(
    group_size: int | None = None,
    group: Any = None,
    timeout: timedelta | float | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
) -> tuple[Any, list[Any]]:
    """Split a group into groups of `group_size` neighbours; returns this rank's and all.

    ValueError unless `group_size` divides the number of ranks.
    """
    if group_size is None:
        raise ValueError(
            "Default group size only takes effect when CUDA is available.If your subgroup using a "
            "backend that does not depend on CUDA,please pass in 'group_size' correctly."
        )
    if group_size <= 0:
        raise ValueError(f"The arg 'group_size' ({group_size}) must be positive")
    ranks = get_process_group_ranks(group)
    if len(ranks) < group_size:
        raise ValueError(
            f"The arg 'group_size' ({group_size}) must not exceed the world size ({len(ranks)})"
        )
    if len(ranks) % group_size:
        raise ValueError(
            f"The world size ({len(ranks)}) must be divisible by 'group_size={group_size}'"
        )
    parts = [ranks[i : i + group_size] for i in range(0, len(ranks), group_size)]
    return new_subgroups_by_enumeration(parts, timeout, backend, pg_options, group_desc)


def split_group(
    parent_pg: Any = None,
    split_ranks: Sequence[Sequence[int]] | None = None,
    timeout: timedelta | float | None = None,
    pg_options: Any = None,
    group_desc: str | None = None,
    backend: str | None = None,
) -> Any:
    """Split a group by lists of its group ranks; returns this rank's new group or None.

    Called by all ranks of `parent_pg`. ValueError if there are no lists.
    """
    if not split_ranks:
        raise ValueError("split_ranks cannot be None or empty")
    check_backend(backend)
    parent, own = resolve_group(parent_pg), None
    for ranks in split_ranks:
        made = parent.new_group(sorted(ranks), timeout_s=seconds(timeout))
        name_group(made, group_desc)
        if made is not None:
            own = made
            _inherit(made, parent, backend)
            _World.n_more += 1
    return own


def shrink_group(
    ranks_to_exclude: list[int],
    group: Any = None,
    shrink_flags: int = SHRINK_DEFAULT,
    pg_options: Any = None,
) -> Any:
    """Go on without some ranks: a new default group of the others, with ranks counted anew.

    Called by the ranks that stay, and only by them; the default group and all others are closed.
    A rank that has died may be left out: the ranks meet again in the job's store. Raises TypeError
    for a group other than the default one, ValueError and RuntimeError for ranks that cannot be
    left out. `shrink_flags` change nothing: calls under way end with GroupUnusableError.
    """
    gone = _checked_exclusion(ranks_to_exclude, group, shrink_flags)
    parent = resolve_group(group)
    store = getattr(parent, "store", None)
    if parent is not _World.group or store is None:
        raise TypeError(
            f"Process group backend for '{parent.name}' does not support shrinking operations: "
            "only the default group of ranks that met in a store does"
        )
    left = [rank for rank in range(parent.size) if rank not in gone]
    owned, _World.owns_store = _World.owns_store, False
    n_shrunk, backend = _World.n_shrunk + 1, _World.backend
    destroy_process_group()
    met = PrefixStore(f"shrunk/{n_shrunk}", store)
    limit = Deadline.after(parent.timeout_s)
    link = connect(met, left.index(parent.rank), len(left), 0, limit)
    shrunk = OwnGroup(link, parent.timeout_s, "world", parent.page)
    shrunk.store, shrunk.name.backend = store, backend
    _World.group = GroupMember.WORLD = shrunk
    _World.store, _World.owns_store = store, owned
    _World.backend, _World.n_shrunk = backend, n_shrunk
    name_group(shrunk, "default:shrunken")
    return shrunk


def _checked_exclusion(ranks: Any, group: Any, flags: Any) -> set[int]:
    """The ranks to leave out; PyTorch's errors for what cannot be meant."""
    if not isinstance(ranks, list):
        raise TypeError(
            f"ranks_to_exclude must be a list, but got {type(ranks).__name__}. Example: [1, 3, 5] "
            "to exclude ranks 1, 3, and 5."
        )
    if not ranks:
        raise ValueError(
            "ranks_to_exclude cannot be empty. To shrink a group, you must specify at least one "
            "rank to exclude. Example: [failed_rank_id]"
        )
    if flags not in (SHRINK_DEFAULT, SHRINK_ABORT):
        raise ValueError(
            f"Invalid shrink_flags value: {flags}. Must be one of: SHRINK_DEFAULT (0) or "
            "SHRINK_ABORT (1). Use SHRINK_ABORT to abort ongoing operations before shrinking."
        )
    size, own = int(resolve_group(group).size), get_rank(group)
    if size <= 1:
        raise ValueError(
            f"Cannot shrink a process group with size {size}. Group must have at least 2 ranks to "
            "support shrinking."
        )
    for i, rank in enumerate(ranks):
        if not isinstance(rank, int):
            raise TypeError(
                "All elements in ranks_to_exclude must be integers. Element at index "
                f"{i} is {type(rank).__name__}: {rank}"
            )
        if not 0 <= rank < size:
            raise ValueError(
                f"Rank {rank} at index {i} is out of bounds for group size {size}. Valid ranks "
                f"are in range [0, {size - 1}]."
            )
        if rank in ranks[:i]:
            raise ValueError(
                f"Duplicate rank {rank} found in ranks_to_exclude at index {i}. Each rank can "
                "only be excluded once."
            )
    if len(ranks) >= size:
        raise ValueError(
            f"Cannot exclude all {size} ranks from process group. At least one rank must remain. "
            f"Excluding {len(ranks)} ranks."
        )
    if own in ranks:
        raise RuntimeError(
            f"Current rank {own} is in the exclusion list and should not call shrink_group(). "
            "Only non-excluded ranks should participate in the shrinking operation. Excluded "
            "ranks should terminate their processes instead."
        )
    return set(ranks)
