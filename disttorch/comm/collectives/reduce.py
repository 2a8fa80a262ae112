"""Reduce over all ranks, result on one."""

from __future__ import annotations

from disttorch.comm.algorithms import all_reduce as ways
from disttorch.comm.algorithms import movement
from disttorch.comm.collectives.context import Context, FlatOutputs, Run, check_array
from disttorch.comm.deadline import Deadline
from disttorch.comm.reduce_op import Reduction, reducer
from disttorch.comm.transport.arena import Array


def reduce(context: Context, array: Array, root: int, op: Reduction) -> Run:
    """Reduce `array` over all ranks into that of `root`; the others' stay as they are."""
    context.check_rank(root, "root")
    mesh = context.mesh
    check_array(array, "array", written=mesh.rank == root)
    fold = reducer(op, array.dtype, mesh.size)
    call = context.call("reduce", array, root=root, op=op)

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        if mesh.rank != root:
            movement.gather(mesh, [], array.reshape(-1), deadline)
            return
        outputs = FlatOutputs([array], keep=True)
        ways.direct(mesh, outputs.flats[0], fold, deadline)
        outputs.commit()

    return run
