"""Reduce over all ranks, a different part of the result on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from disttorch.comm.header import EncodedCall
from disttorch.comm.reduce_op import ReduceOp, reducer
from disttorch.comm.transport.arena import Array


def reduce_scatter(context: Context, output: Array, inputs: Sequence[Array], op: ReduceOp) -> Run:
    """Reduce `inputs[r]` of all ranks into the `output` of rank r; all of one shape and dtype."""
    check_array(output, "output", written=True)
    check_list(inputs, output, context.mesh.size, "inputs", written=False)
    call = context.call("reduce_scatter", output, op=op)
    return _runner(context, call, output, lambda: [a.reshape(-1) for a in inputs], op)


def reduce_scatter_from(context: Context, output: Array, whole: Array, op: ReduceOp) -> Run:
    """Reduce the r-th of P equal parts of all ranks' `whole` into the `output` of rank r."""
    size = context.mesh.size
    check_array(output, "output", written=True)
    check_array(whole, "input", written=False)
    check_blocks(whole, output, size, ("input", "output"))
    call = context.call("reduce_scatter_tensor", output, op=op)
    return _runner(context, call, output, lambda: split_blocks(whole.reshape(-1), size), op)


def _runner(
    context: Context,
    call: EncodedCall,
    output: Array,
    inputs: Callable[[], list[Array]],
    op: ReduceOp,
) -> Run:
    mesh = context.mesh
    fold = reducer(op, output.dtype, mesh.size)

    def run(deadline: Deadline) -> None:
        outputs = FlatOutputs([output])
        out = outputs.flats[0]
        mesh.open(call)
        movement.pieces(mesh, inputs(), out, lambda where, parts: fold(out[where], parts), deadline)
        outputs.commit()

    return run
