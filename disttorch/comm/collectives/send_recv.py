"""Messages between two ranks: checks and headers; `mailbox` moves them."""

from __future__ import annotations

import numpy as np

from disttorch.comm.collectives.context import Context, check_array
from disttorch.comm.deadline import Deadline
from disttorch.comm.mailbox import Message
from disttorch.comm.transport.arena import Array

_MAX_TAG = 2**63 - 1


def send(context: Context, array: Array, dst: int, tag: int, deadline: Deadline) -> Message:
    """A message with `array` to group rank `dst`; a strided array is copied."""
    check_array(array, "array", written=False)
    _check_peer(context, dst, "dst")
    _check_tag(tag)
    call = context.call(f"send to rank {context.mesh.ranks[dst]}", array)
    return Message(dst, tag, np.ascontiguousarray(array), call, deadline)


def recv(context: Context, array: Array, src: int | None, tag: int, deadline: Deadline) -> Message:
    """A message into `array`, or into a contiguous copy of a strided one; see `finish_recv`."""
    check_array(array, "array", written=True)
    if src is not None:
        _check_peer(context, src, "src")
    elif context.mesh.size == 1:
        raise ValueError("there is no other rank to receive from")
    _check_tag(tag)
    source = "any rank" if src is None else f"rank {context.mesh.ranks[src]}"
    call = context.call(f"recv from {source}", array)
    into = array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
    return Message(src, tag, into, call, deadline)


def finish_recv(message: Message, array: Array) -> None:
    """Copy a received message into a strided array."""
    if message.array is not array:
        array[...] = message.array


def _check_peer(context: Context, peer: int, name: str) -> None:
    context.check_rank(peer, name)
    if peer == context.mesh.rank:
        raise ValueError(f"{name} must be another rank, got this rank itself, {peer}")


def _check_tag(tag: int) -> None:
    if not 0 <= tag <= _MAX_TAG:
        raise ValueError(f"tag must be in 0..2**63 - 1, got {tag}")


__all__ = ["Message", "finish_recv", "recv", "send"]
