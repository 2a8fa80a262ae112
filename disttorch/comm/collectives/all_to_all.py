"""Give each rank a different array, from all ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from disttorch.comm.algorithms import exchange, movement, reach
from disttorch.comm.algorithms.choice import Way, choose
from disttorch.comm.algorithms.copying import copy, flat_of, kept_apart
from disttorch.comm.collectives.context import (
    Context,
    FlatOutputs,
    Run,
    check_array,
    check_blocks,
    check_list,
    split_blocks,
    split_sizes,
)
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveMismatchError
from disttorch.comm.header import EncodedCall
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.transport.arena import Array

# In fewer steps `movement.pieces` has carried everything before a pipe is open.
_STEPS = 2

Pieces = Callable[[FlatOutputs], tuple[list[Array], list[Array]]]
"""From the flat outputs, the pieces to send and those to receive, one for each rank."""


def all_to_all(context: Context, outputs: Sequence[Array], inputs: Sequence[Array]) -> Run:
    """Copy `inputs[r]` of rank s to `outputs[s]` of rank r; of one dtype and any sizes that fit."""
    size = context.mesh.size
    if not inputs:
        raise ValueError(f"inputs must hold one array for each of the {size} ranks, got 0")
    check_array(inputs[0], "inputs[0]", written=False)
    check_list(inputs, inputs[0], size, "inputs", written=False, any_shape=True)
    check_list(outputs, inputs[0], size, "outputs", written=True, any_shape=True)
    dtype = inputs[0].dtype

    def pieces(outs: FlatOutputs) -> tuple[list[Array], list[Array]]:
        return [flat_of(array) for array in inputs], outs.flats

    return _uneven(context, context.calls.find("all_to_all", dtype=dtype), outputs, pieces)


def all_to_all_single(
    context: Context,
    output: Array,
    array: Array,
    output_sizes: Sequence[int] | None = None,
    input_sizes: Sequence[int] | None = None,
) -> Run:
    """Copy part r of rank s's `array` to part s of rank r's `output`.

    Parts are equal, or have the given sizes along the first dimension.
    """
    size = context.mesh.size
    check_array(array, "array", written=False)
    check_array(output, "output", written=True)
    if output_sizes or input_sizes:
        if output.dtype != array.dtype:
            raise ValueError(f"output is {output.dtype}, but array is {array.dtype}")
        n_sent = _items(array, input_sizes, size, "input")
        n_received = _items(output, output_sizes, size, "output")

        def pieces(outs: FlatOutputs) -> tuple[list[Array], list[Array]]:
            sent = split_sizes(flat_of(array), n_sent)
            return sent, split_sizes(outs.flats[0], n_received)

        call = context.calls.find("all_to_all_single (uneven)", dtype=array.dtype)
        return _uneven(context, call, [output], pieces)
    if array.size % size:
        raise ValueError(f"array of {array.size} elements cannot be split among {size} ranks")
    check_blocks(output, array, 1, ("output", "array"))
    mesh, call = context.mesh, context.call("all_to_all_single", array)

    def run(deadline: Deadline) -> None:
        outs = FlatOutputs([output])
        whole = flat_of(array)
        sent, received = split_blocks(whole, size), split_blocks(outs.flats[0], size)
        way = choose("all_to_all", whole.nbytes, size, shared=mesh.shared)
        places = None
        if way is Way.REACH and context.reach.possible is not False:
            places = reach.begin(mesh, context.reach, call, whole, outs.flats[0], deadline)
        else:
            mesh.open(call)
        if places:
            own = sent[mesh.rank]
            reach.all_to_all(mesh, context.reach, received, own, places, deadline)
        else:
            _carry(mesh, sent, received, sent[0].size, deadline)
        outs.commit()

    return run


def _uneven(
    context: Context,
    call: EncodedCall,
    outputs: Sequence[Array],
    pieces: Pieces,
) -> Run:
    mesh = context.mesh

    def run(deadline: Deadline) -> None:
        outs = FlatOutputs(outputs)
        mesh.open(call)
        sent, received = pieces(outs)
        counts = [piece.size for piece in (*sent, *received)]
        longest = _agree(movement.exchange_counts(mesh, counts, deadline), mesh.ranks)
        _carry(mesh, sent, received, longest, deadline)
        outs.commit()

    return run


def _agree(rows: Sequence[Sequence[int]], ranks: Sequence[int]) -> int:
    """The greatest count; raises on all ranks alike if one expects other than it is sent."""
    size = len(rows)
    wrong = [
        f"rank {ranks[s]} sends {rows[s][r]} elements to rank {ranks[r]}, which expects "
        f"{rows[r][size + s]}"
        for s in range(size)
        for r in range(size)
        if rows[s][r] != rows[r][size + s]
    ]
    if wrong:
        raise CollectiveMismatchError(
            f"Split sizes don't match between ranks: {'; '.join(wrong)}. What rank s sends to "
            f"rank r must be as large as what rank r receives from rank s."
        )
    return max(map(max, rows))


def _items(array: Array, sizes: Sequence[int] | None, n_ranks: int, name: str) -> list[int]:
    """Elements of each part of an array that is split along its first dimension."""
    length = array.shape[0] if array.ndim else 1
    if not sizes:
        if length % n_ranks:
            raise RuntimeError(
                f"Tensor's dim 0 does not divide equally across group size: {length} / {n_ranks}"
            )
        sizes = [length // n_ranks] * n_ranks
    if len(sizes) != n_ranks:
        raise RuntimeError("Number of tensor splits not equal to group size")
    if sum(sizes) != length or min(sizes) < 0:
        raise RuntimeError(
            f"Split sizes doesn't match total dim 0 size: {name} splits {list(sizes)} of {length}"
        )
    return [size * (array.size // max(length, 1)) for size in sizes]


def _carry(
    mesh: SharedMesh,
    sent: Sequence[Array],
    received: Sequence[Array],
    longest: int,
    deadline: Deadline,
) -> None:
    """Copy `sent[r]` of rank s to `received[s]` of rank r, `longest` being equal on all ranks."""
    dtype = sent[0].dtype
    nbytes = longest * dtype.itemsize
    if nbytes * mesh.size > mesh.stage_bytes:
        sent = kept_apart(sent, received)
    if mesh.shared and mesh.size > 1 and nbytes * mesh.size > _STEPS * mesh.stage_bytes:
        exchange.streamed(mesh, sent, received, nbytes, deadline)
    else:
        movement.pieces(mesh, sent, dtype, longest, _into(received), deadline)


def _into(outs: Sequence[Array]) -> movement.Drain:
    def drain(where: slice, parts: Sequence[Array]) -> None:
        for out, part in zip(outs, parts, strict=True):
            piece = out[where]
            copy(piece, part[: piece.size])

    return drain
