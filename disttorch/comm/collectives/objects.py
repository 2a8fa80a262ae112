"""Collectives of Python objects: pickle protocol 5 with buffers out of band.

Each function leaves the bytes of all ranks in `arrived`, for `loads` after the collective, so that
an object that cannot be unpickled is no error of the group.

Only ranks of the job can write the memory that is unpickled here: it is an anonymous segment,
opened by the process numbers that came through the job's own store.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from disttorch.comm.algorithms import payload
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.deadline import Deadline
from disttorch.comm.transport.arena import Array

# Arrays in objects are views of what arrived, and are fast only where they are aligned.
_ALIGN = 64
_PADDING = memoryview(bytes(_ALIGN))


def all_gather_object(context: Context, arrived: list[Array], obj: object) -> Run:
    """Exchange the objects of all ranks."""
    return _exchange(context, "all_gather_object", arrived, dumps(obj))


def gather_object(context: Context, arrived: list[Array], obj: object, root: int) -> Run:
    """Bring the objects of all ranks to `root`; empty bytes arrive at the others."""
    context.check_rank(root, "root")
    return _exchange(context, "gather_object", arrived, dumps(obj), root, to_root=True)


def broadcast_object(context: Context, arrived: list[Array], obj: object, root: int) -> Run:
    """Bring the object of `root` to all; the other ranks' `obj` is ignored."""
    context.check_rank(root, "root")
    parts = dumps(obj) if context.mesh.rank == root else []
    return _exchange(context, "broadcast_object", arrived, parts, root)


def scatter_object(
    context: Context, arrived: list[Array], objects: Sequence[object] | None, root: int
) -> Run:
    """Bring the packed objects of `root` to all, to be taken apart by `loads_part`."""
    context.check_rank(root, "root")
    mesh = context.mesh
    parts: list[memoryview] = []
    if mesh.rank == root:
        if objects is None or len(objects) != mesh.size:
            got = "None" if objects is None else len(objects)
            raise ValueError(f"objects must hold one for each of the {mesh.size} ranks, got {got}")
        # Each packed on its own, so that a rank unpickles only what is meant for it.
        parts = dumps([pack(obj) for obj in objects])
    return _exchange(context, "scatter_object", arrived, parts, root)


def dumps(obj: object) -> list[memoryview]:
    """An object as parts of bytes: sizes, pickle, then its buffers without a copy.

    What pickle cannot take by reference, such as lambdas, goes by value through cloudpickle.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle  # type: ignore[import-untyped]  # noqa: PLC0415 - rarely needed

        buffers.clear()
        data = cloudpickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(data), *(buffer.raw() for buffer in buffers)]
    head = struct.pack(f"<{1 + len(parts)}Q", len(parts), *(part.nbytes for part in parts))
    padded = []
    for part in (memoryview(head), *parts):
        padded += [part, _PADDING[: -part.nbytes % _ALIGN]]
    return padded


def pack(obj: object) -> Array:
    """The parts of `dumps` in one flat uint8 array."""
    return np.frombuffer(bytearray().join(dumps(obj)), np.uint8)


def loads(packed: Array) -> Any:
    """The object of `dumps` or `pack`, whose arrays share the memory of `packed`."""
    view = packed.data
    (n_parts,) = struct.unpack_from("<Q", view)
    sizes = struct.unpack_from(f"<{n_parts}Q", view, 8)
    at = _aligned(8 * (1 + n_parts))
    parts = []
    for nbytes in sizes:
        parts.append(view[at : at + nbytes])
        at += _aligned(nbytes)
    return pickle.loads(parts[0], buffers=parts[1:])


def loads_part(packed: Array, rank: int) -> Any:
    """The object for `rank` in what `scatter_object` brought from the root."""
    return loads(loads(packed)[rank])


def _aligned(nbytes: int) -> int:
    return nbytes + -nbytes % _ALIGN


def _exchange(
    context: Context,
    operation: str,
    arrived: list[Array],
    parts: list[memoryview],
    root: int = -1,
    *,
    to_root: bool = False,
) -> Run:
    mesh, call = context.mesh, context.calls.find(operation, root=root)

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        arrived[:] = payload.exchange(mesh, parts, root if to_root else None, deadline)

    return run
