"""Batches put together by several workers: each writes its rows straight into the slot.

`RowCollate` is `default_collate` with a destination: leaf k of the sample structure goes to the
k-th region of the slot, at the rows this worker has. What cannot go there (another shape or dtype
than the first batch had, strings) travels in the message instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.tensor import Tensor
from disttorch.utils.data.collate import collate, default_collate_fn_map
from disttorch.utils.data.ring import aligned, array_in


@dataclass(frozen=True)
class Leaf:
    """One array of a sample's structure: its shape in a sample, dtype, and place in the slot."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


@dataclass(frozen=True)
class Layout:
    """Where the arrays of a batch of at most `n_rows` samples lie in a slot."""

    leaves: tuple[Leaf, ...]
    n_rows: int
    nbytes: int

    @classmethod
    def of(cls, arrays: list[np.ndarray], n_rows: int) -> Layout:
        """Plan a slot for batches like `arrays` (rows first), with room for `n_rows` rows."""
        leaves, offset = [], 0
        for array in arrays:
            leaves.append(Leaf(array.shape[1:], array.dtype, offset))
            row_nbytes = int(np.prod(array.shape[1:], dtype=np.int64)) * array.itemsize
            offset += aligned(row_nbytes * n_rows)
        return cls(tuple(leaves), n_rows, max(offset, 1))

    def arrays(self, buffer: Any, rows: slice) -> list[np.ndarray]:
        """Views of some rows of every leaf."""
        return [
            array_in(buffer, leaf.offset, (self.n_rows, *leaf.shape), leaf.dtype)[rows]
            for leaf in self.leaves
        ]


@dataclass(frozen=True)
class Place:
    """Stands for the k-th array in the structure of a batch."""

    index: int


class RowCollate:
    """Collates samples into arrays, in a slot where they fit it."""

    def __init__(self, destination: list[np.ndarray] | None) -> None:
        self.destination = destination
        self.arrays: list[np.ndarray] = []
        self.in_slot = destination is not None
        self._table = {
            **default_collate_fn_map,
            Tensor: self._tensors,
            np.ndarray: self._arrays,
            (bool, np.generic): self._numbers,
            float: self._floats,
            int: self._numbers,
        }

    def __call__(self, samples: list[Any]) -> Any:
        """Return the batch's structure with `Place`s for the arrays, which are in `arrays`."""
        structure = collate(samples, collate_fn_map=self._table)
        if self.destination is not None and len(self.arrays) != len(self.destination):
            self.in_slot = False
        return structure

    def _put(self, rows: list[Any], dtype: Any, shape: tuple[int, ...]) -> Place:
        k = len(self.arrays)
        wanted = (len(rows), *shape)
        target = None
        if self.destination is not None and k < len(self.destination):
            target = self.destination[k]
            if target.shape != wanted or target.dtype != dtype:
                target = None
        if target is None:
            self.in_slot = False
            target = np.empty(wanted, dtype)
        if shape:
            np.stack(rows, out=target)
        else:
            target[...] = rows
        self.arrays.append(target)
        return Place(k)

    def _tensors(self, batch: list[Tensor], *, collate_fn_map: Any = None) -> Place:
        first = batch[0]
        if any(t.shape != first.shape or t._array.dtype != first._array.dtype for t in batch):
            merged = default_collate_fn_map[Tensor](batch)  # promotes, or raises PyTorch's error
            return self._put(list(merged._array), merged._array.dtype, tuple(merged.shape[1:]))
        return self._put([t._array for t in batch], first._array.dtype, tuple(first.shape))

    def _arrays(self, batch: list[np.ndarray], *, collate_fn_map: Any = None) -> Place:
        merged = [Tensor._wrap(np.asarray(a)) for a in batch]
        if merged[0]._array.dtype.kind in "SUO":
            default_collate_fn_map[np.ndarray](batch)  # raises PyTorch's error
        return self._tensors(merged)

    def _numbers(self, batch: list[Any], *, collate_fn_map: Any = None) -> Place:
        return self._put(batch, np.asarray(batch).dtype, ())

    def _floats(self, batch: list[float], *, collate_fn_map: Any = None) -> Place:
        return self._put(batch, np.dtype(np.float64), ())


def fill(structure: Any, arrays: list[np.ndarray]) -> Any:
    """Put tensors over `arrays` at the `Place`s of a structure."""
    if isinstance(structure, Place):
        return Tensor._wrap(arrays[structure.index])
    if isinstance(structure, Mapping):
        return type(structure)({k: fill(v, arrays) for k, v in structure.items()})  # type: ignore[call-arg]
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(fill(v, arrays) for v in structure))
    if isinstance(structure, list):
        return [fill(v, arrays) for v in structure]
    return structure


def merge_structures(parts: list[Any]) -> Any:
    """Join the structures of a batch's parts: string columns are concatenated."""
    first = parts[0]
    if isinstance(first, Mapping):
        merged = {k: merge_structures([p[k] for p in parts]) for k in first}
        return type(first)(merged)  # type: ignore[call-arg]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(merge_structures(list(c)) for c in zip(*parts, strict=True)))
    if isinstance(first, list):
        if first and isinstance(first[0], (str, bytes)):
            return [text for part in parts for text in part]
        return [merge_structures(list(c)) for c in zip(*parts, strict=True)]
    return first


def merge_arrays(parts: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Join the rows of a batch's parts; RuntimeError, with PyTorch's text, on unequal shapes."""
    merged = []
    for columns in zip(*parts, strict=True):
        entry = 0
        for column in columns:
            if column.shape[1:] != columns[0].shape[1:]:
                raise RuntimeError(
                    "stack expects each tensor to be equal size, but got "
                    f"{list(columns[0].shape[1:])} at entry 0 and {list(column.shape[1:])} at "
                    f"entry {entry}"
                )
            entry += len(column)
        merged.append(np.concatenate(columns))
    return merged
