"""Collectives of Python objects: pickle protocol 5 with buffers out of band.

Only ranks of the job can write the memory that is unpickled here: it is an anonymous segment,
opened by the process numbers that came through the job's own store.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from disttorch.comm.algorithms import payload
from disttorch.comm.collectives.context import Context, Run
from disttorch.comm.deadline import Deadline
from disttorch.comm.transport.arena import Array

_COUNT = struct.Struct("<Q")


def all_gather_object(context: Context, results: list[Any], obj: object) -> Run:
    """Put the objects of all ranks, in order, into `results`, whose contents they replace."""
    parts = dumps(obj)

    def take(arrived: list[Array]) -> None:
        results[:] = [loads(array) for array in arrived]

    return _runner(context, "all_gather_object", -1, parts, True, take)


def gather_object(context: Context, results: list[Any], obj: object, root: int) -> Run:
    """Put the objects of all ranks into `results` on `root`; the others' stay as they are."""
    context.check_rank(root, "root")
    parts = dumps(obj)

    def take(arrived: list[Array]) -> None:
        results[:] = [loads(array) for array in arrived]

    wanted = context.mesh.rank == root
    return _runner(context, "gather_object", root, parts, wanted, take)


def broadcast_object(context: Context, results: list[Any], obj: object, root: int) -> Run:
    """Put the object of `root` into `results`; the other ranks' `obj` is ignored."""
    context.check_rank(root, "root")
    is_root = context.mesh.rank == root
    parts = dumps(obj) if is_root else []

    def take(arrived: list[Array]) -> None:
        results[:] = [obj if is_root else loads(arrived[root])]

    return _runner(context, "broadcast_object", root, parts, True, take)


def scatter_object(
    context: Context, results: list[Any], objects: Sequence[object] | None, root: int
) -> Run:
    """Put the r-th of `root`'s objects into `results` on rank r; the other ranks pass None."""
    context.check_rank(root, "root")
    mesh = context.mesh
    parts: list[memoryview] = []
    if mesh.rank == root:
        if objects is None or len(objects) != mesh.size:
            got = "None" if objects is None else len(objects)
            raise ValueError(f"objects must hold one for each of the {mesh.size} ranks, got {got}")
        # Each packed on its own, so that a rank unpickles only what is meant for it.
        parts = dumps([b"".join(dumps(obj)) for obj in objects])

    def take(arrived: list[Array]) -> None:
        results[:] = [loads(loads(arrived[root])[mesh.rank])]

    return _runner(context, "scatter_object", root, parts, True, take)


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
    sizes = b"".join(_COUNT.pack(n) for n in (len(parts), *(part.nbytes for part in parts)))
    return [memoryview(sizes), *parts]


def loads(packed: Array | bytes) -> Any:
    """The object of `dumps`, whose arrays share the memory of `packed`."""
    view = packed.data if isinstance(packed, np.ndarray) else memoryview(packed)
    (n_parts,) = _COUNT.unpack_from(view)
    at = _COUNT.size * (1 + n_parts)
    parts = []
    for i in range(n_parts):
        (nbytes,) = _COUNT.unpack_from(view, _COUNT.size * (1 + i))
        parts.append(view[at : at + nbytes])
        at += nbytes
    return pickle.loads(parts[0], buffers=parts[1:])


def _runner(
    context: Context,
    operation: str,
    root: int,
    parts: list[memoryview],
    wanted: bool,
    take: Callable[[list[Array]], None],
) -> Run:
    mesh, call = context.mesh, context.calls.find(operation, root=root)

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        arrived = payload.exchange(mesh, parts, wanted, deadline)
        if wanted:
            take(arrived)

    return run
