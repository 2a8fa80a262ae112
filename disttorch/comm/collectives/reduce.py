"""Reduce over all ranks, result on one."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm.algorithms import paired
from disttorch.comm.algorithms.copying import flat_of
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.algorithms.to_root import to_root
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
    planned = paired.way(mesh, "reduce", array.nbytes, root)

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        outputs = FlatOutputs([array] if mesh.rank == root else [], keep=True)
        flat = outputs.flats[0] if outputs.flats else flat_of(array)

        def drain(where: slice, parts: Sequence[Array]) -> None:
            fold(flat[where], parts)

        if planned:
            paired.reduce(*planned, flat, stages_of(op, flat.dtype, mesh.size), deadline)
        else:
            to_root(mesh, flat, root, drain, deadline)
        outputs.commit()

    return run
