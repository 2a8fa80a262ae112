"""Making groups of some ranks of the job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from disttorch.distributed.backend import check_backend
from disttorch.distributed.world import (
    GroupMember,
    _World,
    get_process_group_ranks,
    resolve_group,
    seconds,
)


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
    made = world.new_group(chosen, timeout_s=seconds(timeout))
    if made is None:
        return GroupMember.NON_GROUP_MEMBER
    _World.n_more += 1
    return made


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
        group = new_group(ranks, timeout, backend, pg_options)
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
        raise ValueError("group_size is needed: there is no default without one device a rank")
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
    return new_subgroups_by_enumeration(parts, timeout, backend, pg_options)


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
        if made is not None:
            own = made
            _World.n_more += 1
    return own
