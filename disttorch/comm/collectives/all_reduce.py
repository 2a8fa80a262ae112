"""Reduce over all ranks, result on all."""

from __future__ import annotations

from disttorch.comm.algorithms import all_reduce as ways
from disttorch.comm.algorithms import hierarchical, paired, reach, remapped
from disttorch.comm.algorithms.choice import INSTEAD_OF_REACH, Way, by_hosts, choose, moves
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.collectives.context import Context, FlatOutputs, Run, check_array
from disttorch.comm.deadline import Deadline
from disttorch.comm.header import EncodedCall
from disttorch.comm.reduce_op import Reduce, Reduction, reducer
from disttorch.comm.transport.arena import Array

# Below this the two steps of the way in place cost more than the copies they save.
_IN_PLACE_FROM_BYTES = 32 << 10
_STAGED = {Way.DIRECT: ways.direct, Way.STREAMED: ways.streamed, Way.SCATTERED: ways.scattered}


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
    planned = paired.way(mesh, "all_reduce", flat.nbytes) if mesh.apart else None
    if planned:
        mesh.open(call)
        paired.all_reduce(*planned, flat, stages_of(op, flat.dtype, mesh.size), deadline)
        return
    way = choose("all_reduce", flat.nbytes, mesh.size, shared=mesh.shared, apart=mesh.apart)
    if mesh.shared and flat.nbytes >= _IN_PLACE_FROM_BYTES:
        if _where_they_lie(context, call, flat, reduce, way is Way.REACH, deadline):
            return
    else:
        mesh.open(call)
    if way is Way.REACH:
        way = INSTEAD_OF_REACH["all_reduce"]
    _STAGED[way](mesh, flat, reduce, deadline)


def _where_they_lie(
    context: Context,
    call: EncodedCall,
    flat: Array,
    reduce: Reduce,
    reaching: bool,
    deadline: Deadline,
) -> bool:
    """Open the collective and, if all ranks' arrays can be reduced in their places, do it."""
    mesh, windows, remaps = context.mesh, context.windows, context.remaps
    place = windows.find(flat) if windows.n_made else None
    moving = remaps.possible and moves(flat.nbytes)
    reaching = reaching and context.reach.possible is not False
    if not (windows.n_made or moving or reaching):
        mesh.open(call)
        return False
    # Any rank's array may lie anywhere, so all tell each other before data moves.
    with remapped.Claim(flat, moving=moving and place is None) as claim:
        token = remaps.token(claim) if moving else reach.token_of(flat) if reaching else 0
        mesh.open(call, place.token if place else token)
        mesh.sync(deadline)
        tokens = mesh.tokens()
        if place and all(token == place.token for token in tokens):
            ways.in_place(mesh, place.arrays(flat), reduce, deadline)
            return True
        arrays = remaps.arrays(mesh, tokens, claim, deadline) if moving else None
        if arrays is not None:
            remapped.all_reduce(mesh, arrays, flat, reduce, deadline)
            return True
    if not (reaching and context.reach.agree(mesh, tokens, deadline)):
        return False
    places = reach.addresses(tokens)
    reach.all_reduce(mesh, context.reach, flat, places, reduce, deadline)
    return True
