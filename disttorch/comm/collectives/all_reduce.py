"""Reduce over all ranks, result on all."""

from __future__ import annotations

from disttorch.comm.algorithms import all_reduce as ways
from disttorch.comm.algorithms import hierarchical
from disttorch.comm.algorithms.choice import by_hosts
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.collectives.context import Context, FlatOutputs, Run, check_array
from disttorch.comm.deadline import Deadline
from disttorch.comm.header import EncodedCall
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.reduce_op import Reduce, Reduction, reducer
from disttorch.comm.transport.arena import Array
from disttorch.comm.windows import Place

# Below this the two steps of the way in place cost more than the copies they save.
_IN_PLACE_FROM_BYTES = 32 << 10
# With more ranks, every rank reading all data of all ranks soon costs more than a second step.
_DIRECT_TOTAL_BYTES = 1 << 20
# Between hosts, one step with all data to all is quicker than two with a part up to here.
_DIRECT_WIRE_BYTES = 16 << 10


def all_reduce(context: Context, array: Array, op: Reduction) -> Run:
    """Reduce `array` over all ranks in place; in `windows` of the group without any copy."""
    check_array(array, "array", written=True)
    call = context.call("all_reduce", array, op=op)
    if call.plan is None:
        call.plan = reducer(op, array.dtype, context.mesh.size)
    reduce: Reduce = call.plan

    def run(deadline: Deadline) -> None:
        if array.flags.c_contiguous:
            _run(context, call, array.reshape(-1), op, reduce, deadline)
            return
        outputs = FlatOutputs([array], keep=True)
        _run(context, call, outputs.flats[0], op, reduce, deadline)
        outputs.commit()

    return run


def _run(
    context: Context,
    call: EncodedCall,
    flat: Array,
    op: Reduction,
    reduce: Reduce,
    deadline: Deadline,
) -> None:
    mesh = context.mesh
    if mesh.size == 1:
        reduce(flat, [flat])
        return
    if by_hosts("all_reduce", flat.nbytes, mesh.hosts):
        mesh.open(call)
        hierarchical.all_reduce(mesh, flat, stages_of(op, flat.dtype, mesh.size), deadline)
        return
    if context.windows.n_made and flat.nbytes >= _IN_PLACE_FROM_BYTES:
        # Any rank's array may lie in a window, so all tell each other before data moves.
        place = context.windows.find(flat)
        mesh.open(call, place.token if place else 0)
        mesh.sync(deadline)
        if place and _agreed(mesh.tokens(), place):
            ways.in_place(mesh, place.arrays(flat), reduce, deadline)
            return
    else:
        mesh.open(call)
    direct = _direct_is_best(mesh.size, flat.nbytes) if mesh.shared else _few(mesh, flat.nbytes)
    way = ways.direct if direct else ways.scattered
    way(mesh, flat, reduce, deadline)


def _agreed(tokens: list[int], place: Place) -> bool:
    return all(token == place.token for token in tokens)


def _few(mesh: SharedMesh, nbytes: int) -> bool:
    return mesh.size == 2 or nbytes <= _DIRECT_WIRE_BYTES


def _direct_is_best(n_ranks: int, nbytes: int) -> bool:
    return n_ranks == 2 or n_ranks * nbytes <= _DIRECT_TOTAL_BYTES
