"""Batches put together by several workers: each writes its rows straight into the slot.

`RowCollate` is `default_collate` with a destination: leaf k of the sample structure goes to the
k-th region of the slot, at the rows this worker has. What cannot go there (another shape or dtype
than the first batch had, strings) travels in the message instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.tensor import Tensor
from disttorch.utils.data.collate import (
    collate,
    default_collate_fn_map,
    rebuild_mapping,
    rebuild_sequence,
    stack_arrays,
)
from disttorch.utils.data.fetch import take
from disttorch.utils.data.ring import aligned


class OddPartsError(Exception):
    """The parts of a batch do not match; only collating all of it can tell what it should be."""


@dataclass(frozen=True)
class Leaf:
    """One array of a sample's structure: its shape and dtype in a sample."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size in a sample."""
        return math.prod(self.shape) * self.dtype.itemsize


class Layout:
    """Where the arrays of a batch of at most `n_rows` samples lie in a slot."""

    def __init__(self, leaves: Sequence[Leaf], structure: Any, n_rows: int) -> None:
        self.leaves = tuple(leaves)
        self.structure = structure
        self.n_rows = n_rows
        self.row_nbytes = sum(leaf.nbytes for leaf in leaves)
        self._places = []
        end = 0
        for leaf in leaves:
            self._places.append((leaf.dtype, math.prod(leaf.shape), end, leaf.shape))
            end += aligned(leaf.nbytes * n_rows)
        self.nbytes = end

    def holds(self, arrays: Sequence[np.ndarray] | None) -> bool:
        """Whether arrays (None: those that are in a slot) have the shapes and dtypes of this."""
        if arrays is None:
            return True
        found = [(a.shape[1:], a.dtype) for a in arrays]
        return found == [(leaf.shape, leaf.dtype) for leaf in self.leaves]

    def empty_arrays(self) -> list[np.ndarray]:
        """No rows of every leaf."""
        return [np.empty((0, *leaf.shape), leaf.dtype) for leaf in self.leaves]

    def arrays(self, buffer: Any, first: int, n_rows: int) -> list[np.ndarray]:
        """Views of some rows of every leaf."""
        views = []
        for dtype, numel, offset, shape in self._places:
            start = offset + first * numel * dtype.itemsize
            flat = np.frombuffer(buffer, dtype, n_rows * numel, start)
            views.append(flat.reshape(n_rows, *shape))
        return views


@dataclass(frozen=True)
class Place:
    """Stands for the k-th array in the structure of a batch."""

    index: int


class RowCollate:
    """Collates samples into arrays, in `destination` where they fit it."""

    def __init__(self) -> None:
        self._table = {
            **default_collate_fn_map,
            Tensor: self._tensors,
            np.ndarray: self._arrays,
            (np.bool_, np.number, np.object_): self._numbers,
            float: self._floats,
            int: self._numbers,
        }

    def __call__(self, samples: list[Any], destination: list[np.ndarray] | None) -> Any:
        """Return the batch's structure with `Place`s for the arrays, which are in `arrays`.

        `in_place` tells whether they are those of `destination`.
        """
        self.destination = destination or []
        self.arrays: list[np.ndarray] = []
        self.in_place = destination is not None
        structure = collate(samples, collate_fn_map=self._table)
        self.in_place = self.in_place and len(self.arrays) == len(self.destination)
        return structure

    def take(self, sources: list[np.ndarray], rows: np.ndarray, destination: Any) -> Any:
        """The same for samples that are rows of `sources`, as those of a TensorDataset."""
        self.destination = destination or []
        self.arrays = []
        self.in_place = destination is not None and len(destination) == len(sources)
        structure = []
        for source in sources:
            target = self._target((len(rows), *source.shape[1:]), source.dtype)
            structure.append(self._add(take(source, rows, target)))
        return structure

    def _target(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray | None:
        k = len(self.arrays)
        if k < len(self.destination):
            target = self.destination[k]
            if target.shape == shape and target.dtype == dtype:
                return target
        self.in_place = False
        return None

    def _add(self, array: np.ndarray) -> Place:
        self.arrays.append(array)
        return Place(len(self.arrays) - 1)

    def _tensors(self, batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Place:
        rows = [t._array for t in batch]
        target = self._target((len(rows), *rows[0].shape), rows[0].dtype)
        stacked = stack_arrays(rows, target)
        if stacked is None:  # promotes, or raises PyTorch's error
            stacked = default_collate_fn_map[Tensor](batch)._array
            self.in_place = False
        return self._add(stacked)

    def _arrays(self, batch: Sequence[Any], *, collate_fn_map: Any = None) -> Place:
        if batch[0].dtype.kind in "SUO":
            default_collate_fn_map[np.ndarray](batch)  # raises PyTorch's error
        return self._tensors([Tensor._wrap(np.asarray(a)) for a in batch])

    def _numbers(self, batch: Sequence[Any], *, collate_fn_map: Any = None) -> Place:
        if set(map(type, batch)) == {int}:
            try:
                return self._copied(batch, np.dtype(np.int64))
            except OverflowError:
                pass  # raised again below, in PyTorch's words
        array = default_collate_fn_map[int](batch)._array
        return self._copied(array, array.dtype)

    def _floats(self, batch: Sequence[float], *, collate_fn_map: Any = None) -> Place:
        return self._copied(batch, np.dtype(np.float64))

    def _copied(self, values: Any, dtype: np.dtype[Any]) -> Place:
        target = self._target((len(values),), dtype)
        if target is None:
            return self._add(np.asarray(values, dtype))
        target[...] = values
        return self._add(target)


def fill(structure: Any, arrays: list[np.ndarray]) -> Any:
    """Put tensors over `arrays` at the `Place`s of a structure."""
    if isinstance(structure, Place):
        return Tensor._wrap(arrays[structure.index])
    if isinstance(structure, Mapping):
        return rebuild_mapping(structure, {k: fill(v, arrays) for k, v in structure.items()})
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(fill(v, arrays) for v in structure))
    if isinstance(structure, Sequence) and not isinstance(structure, (str, bytes)):
        if _is_column(structure):
            return structure
        return rebuild_sequence(structure, [fill(v, arrays) for v in structure])
    return structure


def _is_column(structure: Sequence[Any]) -> bool:
    """Whether it is the strings of a batch, a list or a tuple as PyTorch makes it."""
    return len(structure) > 0 and isinstance(structure[0], (str, bytes))


def merge_structures(parts: list[Any]) -> Any:
    """Join the structures of a batch's parts: string columns are concatenated.

    Raises OddPartsError if they are not of one form.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if any(type(p) is not type(first) for p in parts):
        raise OddPartsError
    if isinstance(first, Mapping):
        if any(p.keys() != first.keys() for p in parts):
            raise OddPartsError
        merged = {k: merge_structures([p[k] for p in parts]) for k in first}
        return rebuild_mapping(first, merged)
    if isinstance(first, Sequence) and not isinstance(first, (str, bytes)):
        if _is_column(first):
            column = [text for part in parts for text in part]
            return tuple(column) if isinstance(first, tuple) else column
        if any(len(p) != len(first) for p in parts):
            raise OddPartsError
        columns = [merge_structures(list(c)) for c in zip(*parts, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*columns)
        return rebuild_sequence(first, columns)
    return first


def merge_arrays(parts: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Join the rows of a batch's parts; OddPartsError if their shapes or dtypes differ."""
    if any(len(p) != len(parts[0]) for p in parts):
        raise OddPartsError
    merged = []
    for columns in zip(*parts, strict=True):
        first = columns[0]
        if any(c.shape[1:] != first.shape[1:] or c.dtype != first.dtype for c in columns):
            raise OddPartsError
        merged.append(np.concatenate(columns))
    return merged
