"""Loading: each rank takes what its state asks for, wherever it was written."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.ops.create_fill import empty
from disttorch.serialization.sharded.contents import Place, flatten
from disttorch.serialization.sharded.folder import FileSystemReader
from disttorch.serialization.sharded.metadata import (
    Metadata,
    MetadataIndex,
    StorageInfo,
    TensorStorageMetadata,
)
from disttorch.serialization.sharded.saving import state_of
from disttorch.serialization.sharded.stateful import Stateful
from disttorch.serialization.sharded.together import Together
from disttorch.tensor import Tensor


class DefaultLoadPlanner:
    """What is asked of a checkpoint; with `allow_partial_load`, what it lacks stays as it is."""

    def __init__(
        self,
        flatten_state_dict: bool = True,
        flatten_sharded_tensors: bool = True,
        allow_partial_load: bool = False,
    ) -> None:
        self.flatten_state_dict = flatten_state_dict
        self.allow_partial_load = allow_partial_load


def load(
    state_dict: dict[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str] | None = None,
    storage_reader: FileSystemReader | None = None,
    planner: DefaultLoadPlanner | None = None,
    process_group: Any = None,
    no_dist: bool = False,
) -> None:
    """Fill a nested state from the checkpoint in the folder `checkpoint_id`, in place.

    Called by all ranks, which may ask for different things and be more or fewer than those that
    saved. Tensors are written over, other values replaced, and objects with `load_state_dict` given
    their state. Nothing in the files is run. Raises CheckpointException on all ranks if a rank
    misses a name or has a tensor of another size, before anything is changed, or cannot read.
    """
    reader = reader_of(checkpoint_id, storage_reader)
    partly = planner is not None and planner.allow_partial_load
    ranks = Together(process_group, no_dist)
    names = sorted(state_dict, key=str)
    states: dict[str, Any] = {}
    wanted: list[tuple[str, Place]] = []
    found: list[Metadata] = []

    def look() -> None:
        states.update({name: state_of(state_dict[name]) for name in names})
        found.append(reader.read_metadata())
        wanted.extend(wanted_of(states, found[0], partly))

    def fill() -> None:
        for name, place in wanted:
            _fill(name, place, reader, found[0])

    ranks.step("planning to load a checkpoint", look)
    ranks.step("loading a checkpoint", fill)
    for name in names:
        if isinstance(state_dict[name], Stateful):
            state_dict[name].load_state_dict(states[name])
        else:
            state_dict[name] = states[name]


def reader_of(
    checkpoint_id: str | os.PathLike[str] | None, reader: FileSystemReader | None
) -> FileSystemReader:
    """The given reader, or one of a folder; RuntimeError without either."""
    if reader is not None:
        return reader
    if checkpoint_id is None:
        raise RuntimeError(
            "`checkpoint_id` must be specified if storage_reader/storage_writer is None."
        )
    return FileSystemReader(checkpoint_id)


def wanted_of(
    states: Mapping[str, Any], metadata: Metadata, partly: bool
) -> list[tuple[str, Place]]:
    """What of a nested state is in a checkpoint: names and places.

    Raises RuntimeError for a missing name unless `partly`, ValueError for a size that differs.
    """
    wanted: list[tuple[str, Place]] = []
    for name, place in flatten(states).items():
        if name in metadata.state_dict_metadata:
            _check_size(name, place.value, metadata.state_dict_metadata[name])
            wanted.append((name, place))
        elif not partly:
            raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")
    return wanted


def _check_size(name: str, target: Any, stored: Any) -> None:
    both = isinstance(stored, TensorStorageMetadata) and isinstance(target, Tensor)
    if both and tuple(target.shape) != tuple(stored.size):
        raise ValueError(
            f"Size mismatch between saved {stored.size} and current: {target.shape} for {name}"
        )


def _fill(name: str, place: Place, reader: FileSystemReader, metadata: Metadata) -> None:
    stored = metadata.state_dict_metadata[name]
    if isinstance(stored, TensorStorageMetadata) and isinstance(place.value, Tensor):
        _fill_tensor(name, place.value, reader, metadata)
    else:
        place.put(value_of(name, reader, metadata))


def _fill_tensor(name: str, target: Any, reader: FileSystemReader, metadata: Metadata) -> None:
    stored: Any = metadata.state_dict_metadata[name]
    n_stored = sum(math.prod(chunk.sizes) for chunk in stored.chunks)
    if n_stored != target.numel():
        raise RuntimeError(
            f"{name} is damaged: its pieces have {n_stored} values, it has {target.numel()}"
        )
    with no_grad():
        for chunk in stored.chunks:
            piece = reader.read(_info(metadata, MetadataIndex(name, chunk.offsets)))
            where = tuple(
                slice(at, at + size) for at, size in zip(chunk.offsets, chunk.sizes, strict=True)
            )
            part = target[where] if where else target
            if not tuple(piece.shape) == tuple(chunk.sizes) == tuple(part.shape):
                raise RuntimeError(
                    f"{name} is damaged: a piece of {tuple(piece.shape)} is said to be of "
                    f"{tuple(chunk.sizes)} at {tuple(chunk.offsets)} in {tuple(target.shape)}"
                )
            part.copy_(piece)


def value_of(name: str, reader: FileSystemReader, metadata: Metadata) -> Any:
    """A value as it was saved; a tensor in one piece."""
    stored = metadata.state_dict_metadata[name]
    if not isinstance(stored, TensorStorageMetadata):
        return reader.read(_info(metadata, MetadataIndex(name)))
    target = empty(tuple(stored.size), dtype=stored.properties.dtype)
    _fill_tensor(name, target, reader, metadata)
    return target


def _info(metadata: Metadata, index: MetadataIndex) -> StorageInfo:
    info = (metadata.storage_data or {}).get(index)
    if info is None:
        raise RuntimeError(f"the checkpoint's .metadata does not say where {index.fqn} is")
    return info
