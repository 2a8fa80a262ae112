"""What every collective of a group works on, and the checks that they share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from disttorch.comm.algorithms.reach import Reach
from disttorch.comm.algorithms.remapped import Remaps
from disttorch.comm.deadline import Deadline
from disttorch.comm.header import CallCache, EncodedCall
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.reduce_op import Reduction
from disttorch.comm.transport.arena import Array
from disttorch.comm.transport.process import ProcessId
from disttorch.comm.windows import Windows

Run = Callable[[Deadline], None]

# A stage has room for some elements of every rank.
_MAX_ITEM_BYTES = 4096


class Context:
    """The mesh of a group and what its collectives remember between calls."""

    def __init__(self, mesh: SharedMesh, processes: Sequence[ProcessId]) -> None:
        self.mesh = mesh
        self.processes = tuple(processes)
        self.calls = CallCache()
        self.windows = Windows()
        self.reach = Reach(self.processes)
        self.remaps = Remaps(self.processes)

    def call(
        self, operation: str, array: Array, *, root: int = -1, op: Reduction | None = None
    ) -> EncodedCall:
        """The header of a collective on arrays like `array`, called from the user's line."""
        return self.calls.find(operation, op, array.dtype, array.shape, root)

    def check_rank(self, rank: int, name: str) -> None:
        """Raise ValueError unless `rank` is one of the group's."""
        if not 0 <= rank < self.mesh.size:
            raise ValueError(f"{name} must be in 0..{self.mesh.size - 1}, got {rank}")


def check_array(array: Array, name: str, *, written: bool) -> None:
    """Raise TypeError or ValueError unless `array` is an ndarray of plain values, and writeable."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype.hasobject:
        raise TypeError(f"{name} holds Python objects; use the object form of this collective")
    if not 0 < array.dtype.itemsize <= _MAX_ITEM_BYTES:
        raise TypeError(
            f"{name} has elements of {array.dtype.itemsize} bytes, expected 1 to {_MAX_ITEM_BYTES}"
        )
    if written and not array.flags.writeable:
        raise ValueError(f"{name} is read-only, but this collective writes to it")


def check_list(
    arrays: Sequence[Array],
    like: Array,
    n: int,
    name: str,
    *,
    written: bool,
    any_shape: bool = False,
) -> None:
    """Raise ValueError unless there are `n` arrays of the dtype, and the shape, of `like`."""
    if len(arrays) != n:
        raise ValueError(f"{name} must hold one array for each of the {n} ranks, got {len(arrays)}")
    for i, array in enumerate(arrays):
        check_array(array, f"{name}[{i}]", written=written)
        if array.dtype != like.dtype or not (any_shape or array.shape == like.shape):
            raise ValueError(
                f"{name}[{i}] is {array.dtype} {array.shape}, expected {like.dtype} {like.shape}"
            )


def check_blocks(whole: Array, part: Array, n: int, names: tuple[str, str]) -> None:
    """Raise ValueError unless `whole` has `n` times the elements of `part` and its dtype."""
    if whole.dtype != part.dtype:
        raise ValueError(f"{names[0]} is {whole.dtype}, but {names[1]} is {part.dtype}")
    if whole.size != n * part.size:
        raise ValueError(
            f"{names[0]} must have {n} times the elements of {names[1]}: {n} x {part.size}, "
            f"got {whole.size}"
        )


class FlatOutputs:
    """Arrays to be written, as one dimension each; strided ones are written back by `commit`.

    Contents are kept where `keep`, so that a collective may also read them.
    """

    def __init__(self, arrays: Sequence[Array], *, keep: bool = False) -> None:
        self.flats: list[Array] = []
        self._strided: list[tuple[Array, Array]] = []
        for array in arrays:
            if array.flags.c_contiguous:
                self.flats.append(array.reshape(-1))
                continue
            copy = array.copy() if keep else np.empty(array.shape, array.dtype)
            self._strided.append((array, copy))
            self.flats.append(copy.reshape(-1))

    def commit(self) -> None:
        """Copy results into the strided arrays."""
        for array, copy in self._strided:
            array[...] = copy


def split_sizes(flat: Array, sizes: Sequence[int]) -> list[Array]:
    """Contiguous parts of a flat array, of the given numbers of items."""
    ends = list(itertools.accumulate(sizes))
    return [flat[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def split_blocks(flat: Array, n: int) -> list[Array]:
    """`n` equal, contiguous parts of a flat array."""
    size = flat.size // n
    return [flat[i * size : (i + 1) * size] for i in range(n)]
