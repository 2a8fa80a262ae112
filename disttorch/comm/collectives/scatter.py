"""Give each rank a different array: from one rank, or from all."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm.algorithms import movement
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
from disttorch.comm.transport.arena import Array


def scatter(context: Context, output: Array, inputs: Sequence[Array] | None, root: int) -> Run:
    """Copy `inputs[r]` of `root` to the `output` of rank r; the other ranks pass None."""
    context.check_rank(root, "root")
    mesh = context.mesh
    check_array(output, "output", written=True)
    if mesh.rank != root:
        if inputs:
            raise ValueError("inputs must be None on all ranks but the root")
        inputs = []
    else:
        check_list(inputs or [], output, mesh.size, "inputs", written=False)
    pieces = inputs or []
    call = context.call("scatter", output, root=root)

    def run(deadline: Deadline) -> None:
        outputs = FlatOutputs([output])
        out = outputs.flats[0]

        def drain(where: slice, parts: Sequence[Array]) -> None:
            out[where] = parts[root]

        mesh.open(call)
        movement.pieces(mesh, [array.reshape(-1) for array in pieces], out, drain, deadline)
        outputs.commit()

    return run


def all_to_all(context: Context, outputs: Sequence[Array], inputs: Sequence[Array]) -> Run:
    """Copy `inputs[r]` of rank s to `outputs[s]` of rank r; all of one shape and dtype."""
    size = context.mesh.size
    if not inputs:
        raise ValueError(f"inputs must hold one array for each of the {size} ranks, got 0")
    check_array(inputs[0], "inputs[0]", written=False)
    check_list(inputs, inputs[0], size, "inputs", written=False)
    check_list(outputs, inputs[0], size, "outputs", written=True)
    mesh, call = context.mesh, context.call("all_to_all", inputs[0])

    def run(deadline: Deadline) -> None:
        outs = FlatOutputs(outputs)
        mesh.open(call)
        flats = [array.reshape(-1) for array in inputs]
        movement.pieces(mesh, flats, flats[0], _into(outs.flats), deadline)
        outs.commit()

    return run


def all_to_all_single(context: Context, output: Array, array: Array) -> Run:
    """Copy the r-th of P equal parts of rank s's `array` to the s-th part of rank r's `output`."""
    mesh = context.mesh
    check_array(array, "array", written=False)
    check_array(output, "output", written=True)
    if array.size % mesh.size:
        raise ValueError(f"array of {array.size} elements cannot be split among {mesh.size} ranks")
    check_blocks(output, array, 1, ("output", "array"))
    call = context.call("all_to_all_single", array)

    def run(deadline: Deadline) -> None:
        outputs = FlatOutputs([output])
        mesh.open(call)
        flats = split_blocks(array.reshape(-1), mesh.size)
        outs = split_blocks(outputs.flats[0], mesh.size)
        movement.pieces(mesh, flats, flats[0], _into(outs), deadline)
        outputs.commit()

    return run


def _into(outs: Sequence[Array]) -> movement.Drain:
    def drain(where: slice, parts: Sequence[Array]) -> None:
        for out, part in zip(outs, parts, strict=True):
            out[where] = part

    return drain
