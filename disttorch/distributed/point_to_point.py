"""Messages between two ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from disttorch.comm.work import Work
from disttorch.distributed.arguments import check_tensor, outside
from disttorch.distributed.own_group import written as _written
from disttorch.distributed.world import get_global_rank, get_group_rank, resolve_group
from disttorch.tensor import Tensor

Group = Any


def _peer(group: Group, peer: int | None, group_peer: int | None) -> int | None:
    """Group rank of a peer given as a global or as a group rank; None for any."""
    if group_peer is not None and peer is not None:
        raise ValueError("Can't specify both group_rank and global_rank")
    if peer is None:
        return group_peer
    return get_group_rank(group, peer)


def destination(group: Group, dst: int | None, group_dst: int | None) -> int:
    """Group rank of a receiver; ValueError for none, for this rank and outside of the group."""
    to = _peer(group, dst, group_dst)
    if to is None:
        raise ValueError("Must specify global_rank or group_rank")
    if to == resolve_group(group).rank:
        raise ValueError(
            "Invalid destination rank: destination rank should not be the same as the "
            "rank of the current process."
        )
    return to


def send(
    tensor: Tensor,
    dst: int | None = None,
    group: Group = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> None:
    """Send `tensor` to global rank `dst`; returns when it may be changed again."""
    check_tensor(tensor, "tensor")
    to = destination(group, dst, group_dst)
    resolve_group(group).send(tensor._array, to, tag)


def recv(
    tensor: Tensor,
    src: int | None = None,
    group: Group = None,
    tag: int = 0,
    group_src: int | None = None,
) -> int:
    """Receive into `tensor` from global rank `src`, by default any; return the sender's rank."""
    check_tensor(tensor, "tensor")
    if outside(group):
        return -1
    _written(tensor)
    sender = resolve_group(group).recv(tensor._array, _peer(group, src, group_src), tag)
    return get_global_rank(group, sender)


def isend(
    tensor: Tensor,
    dst: int | None = None,
    group: Group = None,
    tag: int = 0,
    group_dst: int | None = None,
) -> Work | None:
    """Start sending `tensor`; it must not be changed before `Work.wait()`."""
    check_tensor(tensor, "tensor")
    to = destination(group, dst, group_dst)
    return resolve_group(group).send(tensor._array, to, tag, async_op=True)


def irecv(
    tensor: Tensor,
    src: int | None = None,
    group: Group = None,
    tag: int = 0,
    group_src: int | None = None,
) -> Work | None:
    """Start receiving into `tensor`; its values are there after `Work.wait()`."""
    check_tensor(tensor, "tensor")
    if outside(group):
        return None
    _written(tensor)
    return resolve_group(group).irecv(tensor._array, _peer(group, src, group_src), tag)


@dataclass
class P2POp:
    """One message of `batch_isend_irecv`: `op` is `isend` or `irecv`, `peer` a global rank."""

    op: Callable[..., Work | None]
    tensor: Tensor
    peer: int | None = None
    group: Group = None
    tag: int = 0
    group_peer: int | None = None

    def __post_init__(self) -> None:
        if self.op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                "``torch.distributed.irecv``."
            )
        check_tensor(self.tensor, "tensor")
        if self.peer is None and self.group_peer is None:
            raise ValueError("Must specify global_rank or group_rank")
        if self.peer is not None and self.group_peer is not None:
            raise ValueError("Can't specify both group_rank and global_rank")


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Work]:
    """Start several messages and return their handles."""
    if (
        not isinstance(p2p_op_list, (list, tuple))
        or not p2p_op_list
        or not all(isinstance(p, P2POp) for p in p2p_op_list)
    ):
        raise ValueError(
            "Invalid ``p2p_op_list``. Each op is expected to to be of type "
            "``torch.distributed.P2POp``."
        )
    works = [p.op(p.tensor, p.peer, p.group, p.tag, p.group_peer) for p in p2p_op_list]
    return [work for work in works if work is not None]
