"""Values that all ranks take from one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from disttorch.tensor import Tensor


def broadcast_all(group: Any, tensors: Sequence[Tensor], root: int = 0) -> None:
    """Overwrite tensors with those of group rank `root`, all of them in one collective."""
    if group.size == 1 or not tensors:
        return
    arrays = [t._array for t in tensors]
    flat = np.empty(sum(a.nbytes for a in arrays), np.uint8)
    if group.rank == root:
        _pack(arrays, flat)
    group.broadcast(flat, root)
    if group.rank != root:
        _unpack(flat, arrays)
        for t in tensors:
            t._cell[0] += 1


def _pack(arrays: list[Any], flat: np.ndarray) -> None:
    """Copy the bytes of arrays into one flat buffer."""
    offset = 0
    for array in arrays:
        piece = flat[offset : offset + array.nbytes]
        piece.view(array.dtype).reshape(array.shape)[...] = array
        offset += array.nbytes


def _unpack(flat: np.ndarray, arrays: list[Any]) -> None:
    """Copy a flat buffer back into the arrays it was packed from."""
    offset = 0
    for array in arrays:
        piece = flat[offset : offset + array.nbytes]
        array[...] = piece.view(array.dtype).reshape(array.shape)
        offset += array.nbytes
