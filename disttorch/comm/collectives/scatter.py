"""Give each rank a different array, from one rank."""

from __future__ import annotations

from collections.abc import Sequence

from disttorch.comm.algorithms import movement
from disttorch.comm.algorithms.copying import flat_of, kept_apart
from disttorch.comm.collectives.context import (
    Context,
    FlatOutputs,
    Run,
    check_array,
    check_list,
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
        flats: Sequence[Array] = [flat_of(array) for array in pieces]
        if flats and mesh.size * out.nbytes > mesh.stage_bytes:
            flats = kept_apart(flats, [out])
        movement.pieces(mesh, flats, out.dtype, out.size, drain, deadline)
        outputs.commit()

    return run
