"""Reduce over all ranks, a different part of the result on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from disttorch.comm.algorithms import hierarchical, movement, paired
from disttorch.comm.algorithms.choice import by_hosts
from disttorch.comm.algorithms.copying import flat_of, kept_apart
from disttorch.comm.algorithms.staged_reduce import stages_of
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
from disttorch.comm.reduce_op import Reduction, reducer
from disttorch.comm.transport.arena import Array


def reduce_scatter(context: Context, output: Array, inputs: Sequence[Array], op: Reduction) -> Run:
    """Reduce `inputs[r]` of all ranks into the `output` of rank r; all of one dtype.

    Shapes may differ between ranks, if all ranks' `inputs` have the shapes of all `output`s.
    """
    check_array(output, "output", written=True)
    mesh = context.mesh
    check_list(inputs, output, mesh.size, "inputs", written=False, any_shape=True)
    own = inputs[mesh.rank]
    if own.shape != output.shape:
        raise ValueError(
            f"inputs[{mesh.rank}] is {own.dtype} {own.shape}, expected {output.dtype} "
            f"{output.shape}"
        )
    sizes = tuple(array.size for array in inputs)
    if all(array.shape == output.shape for array in inputs):
        call = context.call("reduce_scatter", output, op=op)
    else:
        # The header holds all sizes, so ranks that would wait for more steps than others are told.
        call = context.calls.find("reduce_scatter (uneven)", op, output.dtype, sizes)
    return _runner(context, call, output, lambda: [flat_of(a) for a in inputs], op, max(sizes))


def reduce_scatter_from(context: Context, output: Array, whole: Array, op: Reduction) -> Run:
    """Reduce the r-th of P equal parts of all ranks' `whole` into the `output` of rank r."""
    size = context.mesh.size
    check_array(output, "output", written=True)
    check_array(whole, "input", written=False)
    check_blocks(whole, output, size, ("input", "output"))
    call = context.call("reduce_scatter_tensor", output, op=op)
    return _runner(
        context, call, output, lambda: split_blocks(flat_of(whole), size), op, output.size
    )


def _runner(
    context: Context,
    call: EncodedCall,
    output: Array,
    inputs: Callable[[], list[Array]],
    op: Reduction,
    longest: int,
) -> Run:
    mesh = context.mesh
    fold = reducer(op, output.dtype, mesh.size)
    itemsize = output.dtype.itemsize
    planned = paired.way(mesh, "reduce_scatter", longest * itemsize)
    several_hosts = by_hosts("reduce_scatter", longest * itemsize, mesh.hosts)

    def run(deadline: Deadline) -> None:
        outputs = FlatOutputs([output])
        out = outputs.flats[0]

        def drain(where: slice, parts: Sequence[Array]) -> None:
            piece = out[where]
            fold(piece, [part[: piece.size] for part in parts])

        mesh.open(call)
        given: Sequence[Array] = inputs()
        if planned or longest * itemsize * mesh.size > mesh.stage_bytes // 4:
            given = kept_apart(given, [out], in_step=not planned)
        if planned:
            stages = stages_of(op, out.dtype, mesh.size)
            paired.reduce_scatter(*planned, given, out, stages, deadline)
        elif several_hosts:
            stages = stages_of(op, out.dtype, mesh.size)
            hierarchical.reduce_scatter(mesh, given, out, longest, stages, deadline)
        else:
            movement.pieces(mesh, given, out.dtype, longest, drain, deadline)
        outputs.commit()

    return run
