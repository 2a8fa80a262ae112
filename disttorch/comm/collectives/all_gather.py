"""Copy all ranks' arrays to all ranks, or to one."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm.algorithms import between_hosts, movement, paired
from disttorch.comm.algorithms.choice import by_hosts
from disttorch.comm.algorithms.copying import flat_of, kept_apart
from disttorch.comm.algorithms.to_root import to_root
from disttorch.comm.collectives.context import (
    Context,
    FlatOutputs,
    Run,
    check_array,
    check_blocks,
    check_list,
    split_blocks,
)
from disttorch.comm.deadline import Deadline
from disttorch.comm.header import EncodedCall
from disttorch.comm.transport.arena import Array


def all_gather(context: Context, outputs: Sequence[Array], array: Array) -> Run:
    """Copy the `array` of rank r to `outputs[r]` on all ranks; all of one dtype.

    Shapes may differ between ranks, if `outputs` have all ranks' shapes on every rank.
    """
    check_array(array, "array", written=False)
    mesh = context.mesh
    check_list(outputs, array, mesh.size, "outputs", written=True, any_shape=True)
    own = outputs[mesh.rank]
    if own.shape != array.shape:
        raise ValueError(
            f"outputs[{mesh.rank}] is {own.dtype} {own.shape}, expected {array.dtype} {array.shape}"
        )
    if all(output.shape == array.shape for output in outputs):
        return _to_list(context, context.call("all_gather", array), outputs, array)
    sizes = tuple(output.size for output in outputs)
    # The header holds all sizes, so ranks that would wait for more steps than others are told.
    call = context.calls.find("all_gather (uneven)", dtype=array.dtype, shape=sizes)
    return _to_list(context, call, outputs, array, max(sizes))


def all_gather_into(context: Context, output: Array, array: Array) -> Run:
    """Copy all ranks' `array` one after another into `output`, which has P times its elements."""
    mesh = context.mesh
    check_array(array, "array", written=False)
    check_array(output, "output", written=True)
    check_blocks(output, array, mesh.size, ("output", "array"))
    call = context.call("all_gather_into_tensor", array)

    def run(deadline: Deadline) -> None:
        outputs = FlatOutputs([output])
        mesh.open(call)
        outs = split_blocks(outputs.flats[0], mesh.size)
        _gather(context, outs, array, deadline)
        outputs.commit()

    return run


def gather(context: Context, array: Array, outputs: Sequence[Array] | None, root: int) -> Run:
    """Copy the `array` of rank r to `outputs[r]` on `root`; the others pass None."""
    context.check_rank(root, "root")
    check_array(array, "array", written=False)
    if context.mesh.rank != root:
        if outputs:
            raise ValueError("outputs must be None on all ranks but the root")
        outputs = []
    else:
        check_list(outputs or [], array, context.mesh.size, "outputs", written=True)
    mesh, call, wanted = context.mesh, context.call("gather", array, root=root), outputs or []

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        outs = FlatOutputs(wanted)

        def drain(where: slice, parts: Sequence[Array]) -> None:
            for out, part in zip(outs.flats, parts, strict=True):
                out[where] = part

        flat = flat_of(array)
        if outs.flats and flat.nbytes > mesh.stage_bytes:
            (flat,) = kept_apart([flat], outs.flats)
        to_root(mesh, flat, root, drain, deadline)
        outs.commit()

    return run


def _to_list(
    context: Context,
    call: EncodedCall,
    outputs: Sequence[Array],
    array: Array,
    longest: int | None = None,
) -> Run:
    def run(deadline: Deadline) -> None:
        context.mesh.open(call)
        outs = FlatOutputs(outputs)
        _gather(context, outs.flats, array, deadline, longest)
        outs.commit()

    return run


def _gather(
    context: Context,
    outs: Sequence[Array],
    array: Array,
    deadline: Deadline,
    longest: int | None = None,
) -> None:
    mesh, nbytes = context.mesh, (longest or array.size) * array.itemsize
    flat = flat_of(array)
    if planned := paired.way(mesh, "all_gather", nbytes):
        paired.gather(*planned, outs, flat, deadline)
        return
    if nbytes > mesh.stage_bytes // mesh.size:
        (flat,) = kept_apart([flat], outs)
    way = between_hosts if by_hosts("all_gather", nbytes, mesh.hosts) else movement
    way.gather(mesh, outs, flat, deadline, longest)
