"""Values that all ranks take from one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from disttorch.nn.modules.module import Module
from disttorch.tensor import Tensor

Places = Sequence[tuple[Module, str]]


def buffers_at(places: Places) -> list[Tensor]:
    """The buffers of modules under some names, wherever the modules have put new ones."""
    buffers = (owner._buffers.get(name) for owner, name in places)
    return [b for b in buffers if b is not None]


def share_buffers(group: Any, places: Places, root: int = 0) -> None:
    """Bring the buffers of all ranks to those of group rank `root`.

    Those that are equal already are not written to: a graph that has saved them stays valid.
    """
    broadcast_all(group, buffers_at(places), root, spare_equal=True)


def broadcast_all(
    group: Any, tensors: Sequence[Tensor], root: int = 0, *, spare_equal: bool = False
) -> None:
    """Overwrite tensors with those of group rank `root`, all of them in one collective."""
    if group.size == 1 or not tensors:
        return
    arrays = [t._array for t in tensors]
    flat = np.empty(sum(a.nbytes for a in arrays), np.uint8)
    if group.rank == root:
        _pack(arrays, flat)
    group.broadcast(flat, root)
    if group.rank != root:
        for t, written in zip(tensors, _unpack(flat, arrays, spare_equal), strict=True):
            t._cell[0] += written


def _pack(arrays: list[Any], flat: np.ndarray) -> None:
    """Copy the bytes of arrays into one flat buffer."""
    offset = 0
    for array in arrays:
        piece = flat[offset : offset + array.nbytes]
        piece.view(array.dtype).reshape(array.shape)[...] = array
        offset += array.nbytes


def _unpack(flat: np.ndarray, arrays: list[Any], spare_equal: bool) -> list[bool]:
    """Copy a flat buffer back into the arrays it was packed from; returns which were written."""
    offset, written = 0, []
    for array in arrays:
        piece = flat[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
        written.append(not spare_equal or bool((array != piece).any()))
        if written[-1]:
            array[...] = piece
        offset += array.nbytes
    return written
