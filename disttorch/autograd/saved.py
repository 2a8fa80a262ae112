"""Arrays a node keeps for its backward formula, checked against in-place changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from disttorch.tensor import Tensor

if TYPE_CHECKING:
    from disttorch.autograd.op import Op


class _Entry:
    """One saved value: the array, its version then, and where its gradient would go."""

    __slots__ = ("cell", "edge", "hooked", "input_nr", "output_nr", "value", "version")

    def __init__(self, value: Any, cell: list[int] | None) -> None:
        self.value = value
        self.cell = cell
        self.version = cell[0] if cell is not None else 0
        self.edge: Any = None
        self.input_nr: int | None = None
        self.output_nr: int | None = None
        self.hooked: Any = None


class SavedArrays:
    """The saved inputs, then the saved outputs, of one node.

    Arrays are stored raw and re-wrapped on access, with the edge of the input or the node itself
    as their history: storing Tensors would tie outputs to their own node in a reference cycle.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: list[_Entry]) -> None:
        self.entries = entries

    @classmethod
    def pack(
        cls, node: Op, inputs: Any, arrays: list[Any], outputs: tuple[Tensor, ...]
    ) -> SavedArrays:
        """Keep what the node asked for with `save` and `save_output`.

        `arrays` are the inputs after promotion: those are saved, and where promotion made a new
        array there is no version to watch.
        """
        entries = []
        for i in node._save_inputs:
            x = inputs[i]
            if isinstance(x, Tensor):
                entry = _Entry(arrays[i], x._cell if arrays[i] is x._array else None)
                entry.edge = node.edges[i]
                entry.input_nr = i
            else:
                entry = _Entry(arrays[i], None)
            entries.append(entry)
        for k in node._save_outputs:
            entry = _Entry(outputs[k]._array, outputs[k]._cell)
            entry.output_nr = k
            entries.append(entry)
        hooks = SAVED_HOOKS[-1] if SAVED_HOOKS else None
        if hooks is not None:
            for entry in entries:
                if entry.input_nr is not None or entry.output_nr is not None:
                    entry.hooked = (hooks[1], hooks[0](Tensor._wrap(entry.value)))
                    entry.value = None
        return cls(entries)

    def unpack(self, node: Op, recorded: bool) -> tuple[Any, ...]:
        """Return the saved values, as Tensors with their history if `recorded`, else as arrays."""
        values = []
        for entry in self.entries:
            value = entry.value
            if entry.hooked is not None:
                unpack, packed = entry.hooked
                value = unpack(packed)._array
            elif entry.cell is not None and entry.cell[0] != entry.version:
                raise RuntimeError(self._modified(node, entry))
            if recorded and (entry.input_nr is not None or entry.output_nr is not None):
                value = self._rewrap(node, entry, value)
            values.append(value)
        return tuple(values)

    @staticmethod
    def _rewrap(node: Op, entry: _Entry, array: Any) -> Tensor:
        edge = entry.edge if entry.output_nr is None else (node, entry.output_nr)
        tensor = Tensor._wrap(array)
        if entry.cell is not None:
            tensor._cell = entry.cell
        if edge is not None:
            tensor._grad_fn, tensor._output_nr = edge
            tensor._requires_grad = True
        return tensor

    @staticmethod
    def _modified(node: Op, entry: _Entry) -> str:
        from disttorch.dtype import TYPE_NAMES, from_numpy_dtype  # noqa: PLC0415 - error path

        assert entry.cell is not None
        kind = TYPE_NAMES[from_numpy_dtype(entry.value.dtype)]
        if entry.output_nr is not None:
            origin = f"which is output {entry.output_nr} of {node.name()}, "
        elif entry.edge is not None:
            origin = f"which is output {entry.edge[1]} of {entry.edge[0].name()}, "
        else:
            origin = ""
        return (
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [torch.{kind}Tensor {list(entry.value.shape)}], {origin}is at version "
            f"{entry.cell[0]}; expected version {entry.version} instead. Hint: enable anomaly "
            "detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True)."
        )

    def replace(self, array: Any, copy: Any) -> None:
        """Point entries that hold `array` at a copy, before `array` is overwritten in place."""
        for entry in self.entries:
            if entry.value is array and entry.input_nr == 0:
                entry.value, entry.cell = copy, None


# Innermost last: (pack, unpack) pairs of `saved_tensors_hooks`.
SAVED_HOOKS: list[Any] = []
