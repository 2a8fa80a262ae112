"""Collectives on Python objects. They unpickle what the other ranks of the job sent."""

from __future__ import annotations

from typing import Any

from disttorch.distributed.arguments import InvalidArgumentError, outside, root_of
from disttorch.distributed.point_to_point import destination
from disttorch.distributed.world import resolve_group

Group = Any


def all_gather_object(object_list: list[Any], obj: Any, group: Group = None) -> None:
    """Fill `object_list`, as long as the group is large, with the objects of all ranks."""
    if outside(group):
        return
    own = resolve_group(group)
    if len(object_list) != own.size:
        raise InvalidArgumentError(
            f"object_list must have {own.size} entries, got {len(object_list)}"
        )
    object_list[:] = own.all_gather_object(obj)


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Group = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """Overwrite the entries of `object_list` with those of `src`."""
    if not outside(group):
        root = root_of(group, src, group_src, None)
        object_list[:] = resolve_group(group).broadcast_object(list(object_list), root)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: Group = None,
    group_dst: int | None = None,
) -> None:
    """Fill `object_gather_list` of `dst` with the objects of all ranks; the others pass None."""
    if outside(group):
        return
    own, root = resolve_group(group), root_of(group, dst, group_dst, 0)
    if own.rank == root and object_gather_list is None:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    gathered = own.gather_object(obj, root)
    if gathered is not None and object_gather_list is not None:
        object_gather_list[:] = gathered


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: Group = None,
    group_src: int | None = None,
) -> None:
    """Put entry r of `src`'s input list first in the output list of rank r."""
    if outside(group):
        return
    if not isinstance(scatter_object_output_list, list) or len(scatter_object_output_list) < 1:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    root = root_of(group, src, group_src, 0)
    own = resolve_group(group)
    if own.rank == root and scatter_object_input_list is None:
        raise ValueError("source rank must provide non-None scatter_object_input_list")
    scatter_object_output_list[0] = own.scatter_object(scatter_object_input_list, root)


def send_object_list(
    object_list: list[Any],
    dst: int | None = None,
    group: Group = None,
    device: Any = None,
    group_dst: int | None = None,
    use_batch: bool = False,
) -> None:
    """Send the entries of `object_list` to global rank `dst`."""
    if not outside(group):
        to = destination(group, dst, group_dst)
        resolve_group(group).send_object(list(object_list), to)


def recv_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Group = None,
    device: Any = None,
    group_src: int | None = None,
    use_batch: bool = False,
) -> int:
    """Overwrite `object_list` with what global rank `src`, by default any, sent; return the sender.

    It is a global rank, -1 on ranks outside of the group.
    """
    if outside(group):
        return -1
    own = resolve_group(group)
    root = None if src is None and group_src is None else root_of(group, src, group_src, None)
    sender, object_list[:] = own.recv_object_from(root)
    return own.ranks[sender]
