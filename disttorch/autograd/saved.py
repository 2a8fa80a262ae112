"""Arrays a node keeps for its backward formula, checked against in-place changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.autograd.node import AccumulateGrad, Edge
from disttorch.dtype import TYPE_NAMES, from_numpy_dtype
from disttorch.tensor import Tensor

if TYPE_CHECKING:
    from disttorch.autograd.op import Op


# One saved value: the array (or number), the version cell to watch (None: nobody else can write
# it), the version then, and its place: i >= 0 for input i, -1 - k for output k, None for numbers.
Entry = tuple[Any, list[int] | None, int, int | None]
_UNREAD: Entry = (None, None, 0, None)


def pack(node: Op, inputs: Any, arrays: list[Any], outputs: tuple[Tensor, ...]) -> list[Entry]:
    """Keep what the node asked for with `save` and `save_output`, inputs first.

    Arrays are stored raw and re-wrapped on access, with the edge of the input or the node itself
    as their history: storing Tensors would tie outputs to their own node in a reference cycle.
    `arrays` are the inputs after promotion; where that made a new array there is no version to
    watch.
    """
    entries: list[Entry] = []
    edges, saved_for = node.edges, node.saved_for
    for i in node._save_inputs:
        if saved_for:
            for reader in saved_for[i]:
                if edges[reader] is not None:
                    break
            else:
                entries.append(_UNREAD)
                continue
        x, array = inputs[i], arrays[i]
        if not isinstance(x, Tensor):
            entries.append((array, None, 0, None))
        elif array is x._array:
            entries.append((array, x._cell, x._cell[0], i))
        else:
            entries.append((array, None, 0, i))
    for k in node._save_outputs:
        cell = outputs[k]._cell
        entries.append((outputs[k]._array, cell, cell[0], -1 - k))
    if SAVED_HOOKS:
        pack_hook, unpack_hook = SAVED_HOOKS[-1]
        entries = [
            e if e[3] is None else (Packed(pack_hook, unpack_hook, e[0]), None, 0, e[3])
            for e in entries
        ]
    return entries


class Packed:
    """A saved array that went through the user's `pack_hook`."""

    __slots__ = ("packed", "unpack_hook")

    def __init__(self, pack_hook: Any, unpack_hook: Any, array: Any) -> None:
        # It looks as the saved tensor did, but has no history: if the hook keeps an output, its
        # node must not be kept with it.
        shown = Tensor._wrap(array)
        shown._requires_grad = array.dtype.kind in "fcV"
        with no_grad():
            self.packed = pack_hook(shown)
        if shown._cell[0]:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook."
            )
        self.unpack_hook = unpack_hook

    def unpack(self) -> Tensor:
        """Return what `unpack_hook` makes of it; TypeError if that is no tensor."""
        tensor = self.unpack_hook(self.packed)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(tensor).__name__}"
            )
        return tensor


def with_history(tensor: Tensor, edge: Edge | None) -> Tensor:
    """The same memory with the history `edge`; for what a hook returns for a saved tensor."""
    fresh = tensor.detach()
    if edge is not None:
        node, output_nr = edge
        if isinstance(node, AccumulateGrad):
            fresh._accumulator = node
        else:
            fresh._grad_fn, fresh._output_nr = node, output_nr
        fresh._requires_grad = True
    return fresh


def unpack(node: Op, entries: list[Entry], recorded: bool) -> tuple[Any, ...]:
    """Return the saved values, as Tensors with their history if `recorded`, else as arrays.

    Raises RuntimeError, with PyTorch's text, for one that was modified in place since.
    """
    values = []
    for value, cell, version, place in entries:
        if cell is not None and cell[0] != version:
            raise RuntimeError(_modified(node, value, cell, version, place))
        if type(value) is Packed:
            value = value.unpack()._array  # noqa: PLW2901 - the same value
        if recorded and place is not None:
            value = _rewrap(node, place, value, cell)  # noqa: PLW2901 - the same value
        values.append(value)
    return tuple(values)


def _rewrap(node: Op, place: int, array: Any, cell: list[int] | None) -> Tensor:
    edge: Edge | None = None
    if place >= 0:
        edge = node.edges[place]
    elif -1 - place not in node.non_differentiable_outputs:
        edge = (node, -1 - place)
    tensor = Tensor._wrap(array)
    if cell is not None:
        tensor._cell = cell
    if edge is not None and array.dtype.kind in "fcV":  # indices carry no gradient
        tensor._grad_fn, tensor._output_nr = edge
        tensor._requires_grad = True
    return tensor


def _modified(node: Op, array: Any, cell: list[Any], version: int, place: Any) -> str:
    edge = node.edges[place] if place >= 0 else (node, -1 - place)
    if edge is not None and isinstance(edge[0], AccumulateGrad):
        edge = None
    kind = TYPE_NAMES[from_numpy_dtype(array.dtype)]
    seen = cell if place >= 0 else cell[:2]
    return modified_message(kind, array.shape, edge, seen, version)


def modified_message(
    kind: str, shape: Sequence[int], edge: Edge | None, cell: list[Any], version: int
) -> str:
    """PyTorch's error for a saved tensor that was modified in place; `edge`: where it came from."""
    origin = ""
    if edge is not None:
        # The history that an in-place write gave it, if one did, is the tensor's history now.
        name = cell[2] if len(cell) > 2 else edge[0].name()
        origin = f", which is output {edge[1]} of {name.removesuffix('Backward0')},"
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [torch.{kind}Tensor {list(shape)}]{origin} is at version {cell[0]}; expected "
        f"version {version} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, "
        "check_nan=False)."
    )


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)
# Names of saved inputs and outputs as PyTorch's nodes show them, by their place.
_PLACES = {
    **{"self": 0, "input": 0, "other": 1, "exponent": 1, "mat2": 1, "weight": 1, "index": 1},
    **{"end": 1, "target": 1, "indices": -2, "result": -1, "result0": -1, "result1": -2},
}

SAVED_NAMES = tuple(_PLACES)


def saved_value(node: Op, name: str) -> Any:
    """What a user reads as ``grad_fn._saved_<name>``: a tensor, None if nobody needs it, a number.

    Raises AttributeError for what the node does not keep, RuntimeError once it is freed.
    """
    place = _PLACES.get(name)
    if node._saved is None and place is not None:
        raise RuntimeError(FREED)
    for entry in node._saved or ():
        if entry[3] == place is not None:
            (value,) = unpack(node, [entry], False)
            edge = node.edges[place] if place >= 0 else (node, -1 - place)
            differentiable = value.dtype.kind in "fcV"
            return with_history(Tensor._wrap(value), edge if differentiable else None)
    if place is not None and any(entry[3] is None for entry in node._saved or ()):
        return next(entry[0] for entry in node._saved or () if entry[3] is None)
    if name in node.__dict__:
        return node.__dict__[name]
    raise AttributeError(f"'{node.name()}' object has no attribute '_saved_{name}'")


def keep_overwritten(entries: list[Entry], target: Tensor, others: Sequence[Any]) -> None:
    """Point what a node saved of `target` at a copy, before `target` is overwritten.

    `others`: arrays of an in-place operator's other operands, whose overwriting is an error.
    """
    for position, (value, cell, _, place) in enumerate(entries):
        if cell is not target._cell or place is None or type(value) is Packed:
            continue
        if (value is target._array and place == 0) or not any(value is other for other in others):
            entries[position] = (value.copy(), None, 0, place)


# Innermost last: (pack, unpack) pairs of `saved_tensors_hooks`.
SAVED_HOOKS: list[Any] = []
