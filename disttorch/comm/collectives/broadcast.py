"""Copy one rank's array to all."""

from __future__ import annotations

from disttorch.comm.algorithms import between_hosts, movement, paired
from disttorch.comm.algorithms.choice import by_hosts
from disttorch.comm.algorithms.copying import flat_of
from disttorch.comm.collectives.context import Context, FlatOutputs, Run, check_array
from disttorch.comm.deadline import Deadline
from disttorch.comm.transport.arena import Array


def broadcast(context: Context, array: Array, root: int) -> Run:
    """Overwrite `array` on all ranks with that of `root`."""
    context.check_rank(root, "root")
    mesh = context.mesh
    check_array(array, "array", written=mesh.rank != root)
    call = context.call("broadcast", array, root=root)

    way = between_hosts if by_hosts("broadcast", array.nbytes, mesh.hosts) else movement
    planned = paired.way(mesh, "broadcast", array.nbytes, root)

    def run(deadline: Deadline) -> None:
        mesh.open(call)
        outputs = FlatOutputs([] if mesh.rank == root else [array])
        flat = outputs.flats[0] if outputs.flats else flat_of(array)
        if planned:
            paired.broadcast(*planned, flat, deadline)
        else:
            way.broadcast(mesh, flat, root, deadline)
        outputs.commit()

    return run
