"""Loading: each rank takes what its state asks for, wherever it was written."""

from __future__ import annotations

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
    misses a name, has a tensor of another size, or cannot read a file.
    """
    reader = reader_of(checkpoint_id, storage_reader)
    partly = planner is not None and planner.allow_partial_load
    ranks = Together(process_group, no_dist)
    names = sorted(state_dict, key=str)
    states = {name: state_of(state_dict[name]) for name in names}

    def fill() -> None:
        fill_from(states, reader, reader.read_metadata(), partly)

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


def fill_from(
    states: Mapping[str, Any], reader: FileSystemReader, metadata: Metadata, partly: bool
) -> None:
    """Fill a nested state; RuntimeError for a missing name, ValueError for a size that differs."""
    for name, place in flatten(states).items():
        if name in metadata.state_dict_metadata:
            _fill(name, place, reader, metadata)
        elif not partly:
            raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")


def _fill(name: str, place: Place, reader: FileSystemReader, metadata: Metadata) -> None:
    stored = metadata.state_dict_metadata[name]
    target = place.value
    if not isinstance(stored, TensorStorageMetadata):
        place.put(reader.read(_info(metadata, MetadataIndex(name))))
        return
    if not isinstance(target, Tensor):
        place.put(value_of(name, reader, metadata))
        return
    if tuple(target.shape) != tuple(stored.size):
        raise ValueError(
            f"Size mismatch between saved {stored.size} and current: {target.shape} for {name}"
        )
    _fill_tensor(name, target, reader, metadata)


def _fill_tensor(name: str, target: Any, reader: FileSystemReader, metadata: Metadata) -> None:
    stored: Any = metadata.state_dict_metadata[name]
    with no_grad():
        for chunk in stored.chunks:
            piece = reader.read(_info(metadata, MetadataIndex(name, chunk.offsets)))
            where = tuple(
                slice(at, at + size) for at, size in zip(chunk.offsets, chunk.sizes, strict=True)
            )
            (target[where] if where else target).copy_(piece)


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
