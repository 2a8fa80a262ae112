"""Saving: all ranks together, each what it alone has and its share of what several have."""

from __future__ import annotations

import copy
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

from disttorch.dtype import ALL
from disttorch.serialization.sharded.contents import Item, Path, flatten, item_of, whole, writers
from disttorch.serialization.sharded.folder import FileSystemWriter
from disttorch.serialization.sharded.metadata import (
    VERSION,
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageInfo,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from disttorch.serialization.sharded.stateful import Stateful
from disttorch.serialization.sharded.together import Together
from disttorch.serialization.sharded.turns import Turn
from disttorch.size import Size
from disttorch.tensor import Tensor

_DTYPES = {str(kind): kind for kind in ALL}
Values = dict[str, tuple[Path, Any]]


class DefaultSavePlanner:
    """How a state is taken apart: always flattened, and what several ranks have is written once."""

    def __init__(
        self,
        flatten_state_dict: bool = True,
        flatten_sharded_tensors: bool = True,
        dedup_replicated_tensors: bool | None = None,
        dedup_save_to_lowest_rank: bool = False,
        enable_plan_caching: bool = False,
    ) -> None:
        self.flatten_state_dict = flatten_state_dict


def save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str] | None = None,
    storage_writer: FileSystemWriter | None = None,
    planner: DefaultSavePlanner | None = None,
    process_group: Any = None,
    no_dist: bool = False,
    use_collectives: bool = True,
) -> Metadata:
    """Save a nested state into the folder `checkpoint_id`, which all ranks must see.

    Called by all ranks. What several have under one name is written once; a tensor must then be
    alike on them. Objects with `state_dict` and `load_state_dict` stand for their state. An earlier
    checkpoint in the folder stays whole until the new one is. Raises CheckpointException on all
    ranks if one fails, RuntimeError without a folder, ValueError if ranks have different tensors.
    """
    writer = writer_of(checkpoint_id, storage_writer)
    ranks = Together(process_group, no_dist)
    with Turn(writer.path) as turn:
        return _save(lambda: _values_of(state_dict), writer, ranks, turn)


def async_save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str] | None = None,
    storage_writer: FileSystemWriter | None = None,
    planner: DefaultSavePlanner | None = None,
    process_group: Any = None,
    no_dist: bool = False,
    use_collectives: bool = True,
) -> Future[Metadata]:
    """Copy a state now and save it in the background; the Future has the result, or the error.

    Called by all ranks, with arguments as of `save`. The state may be changed once this returns.
    Saves into one folder are made one after another. A process that ends waits for its saves.
    Raises CheckpointException on all ranks if one cannot copy its state.
    """
    writer = writer_of(checkpoint_id, storage_writer)
    ranks = Together(process_group, no_dist)
    copied: Values = {}

    def copy_state() -> None:
        found = _values_of(state_dict).items()
        copied.update({name: (path, _copy(value)) for name, (path, value) in found})

    ranks.step("copying a state", copy_state)
    if ranks.group is not None:
        # Collectives of a group of their own: in the training's, ranks would mix up their order.
        ranks = Together(ranks.group.new_group(range(ranks.size)))
    future: Future[Metadata] = Future()
    future.set_running_or_notify_cancel()  # ranks save together, so one cannot take it back
    arguments = (future, copied, writer, ranks, Turn(writer.path))
    threading.Thread(target=_save_for, args=arguments, name="async_save").start()
    return future


def writer_of(
    checkpoint_id: str | os.PathLike[str] | None, writer: FileSystemWriter | None
) -> FileSystemWriter:
    """The given writer, or one for a folder; RuntimeError without either."""
    if writer is not None:
        return writer
    if checkpoint_id is None:
        raise RuntimeError(
            "`checkpoint_id` must be specified if storage_reader/storage_writer is None."
        )
    return FileSystemWriter(checkpoint_id)


def _save_for(
    future: Future[Metadata], values: Values, writer: FileSystemWriter, ranks: Together, turn: Turn
) -> None:
    try:
        # Closed before it is told, so that nothing is left of a save that has ended.
        with ExitStack() as ending, turn:
            if ranks.group is not None:
                ending.callback(ranks.group.close)
            metadata = _save(lambda: values, writer, ranks, turn)
        future.set_result(metadata)
    except BaseException as error:  # whoever waits for the future has it raised
        future.set_exception(error)


def _values_of(state: Mapping[str, Any]) -> Values:
    stateful = {k: state_of(state[k]) for k in sorted(state, key=str)}
    return {name: (place.path, place.value) for name, place in flatten(stateful).items()}


def state_of(value: Any) -> Any:
    """The state that an object stands for, if it has `state_dict` and `load_state_dict`."""
    return value.state_dict() if isinstance(value, Stateful) else value


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        tensor: Any = value.detach()
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    return copy.deepcopy(value)


def _save(
    state: Callable[[], Values], writer: FileSystemWriter, ranks: Together, turn: Turn
) -> Metadata:
    values: Values = {}

    def look() -> tuple[dict[str, Item], int]:
        turn.wait(None if ranks.group is None else ranks.group.timeout_s)
        values.update(state())
        items = {name: item_of(path, value) for name, (path, value) in values.items()}
        return items, writer.begin() if ranks.rank == 0 else 0

    found = ranks.step("planning a checkpoint", look)
    inventories, number = [items for items, _ in found], found[0][1]
    chosen = writers(inventories)
    own = {name: value for name, (_, value) in values.items() if chosen[name] == ranks.rank}
    placed = ranks.step("writing a checkpoint", lambda: writer.write(own, ranks.rank, number))
    items = {name: item for each in reversed(inventories) for name, item in each.items()}
    places = {name: info for each in placed for name, info in each.items()}
    metadata = _metadata(items, places, writer)

    def finish() -> None:
        if ranks.rank == 0:
            writer.finish(metadata)

    ranks.step("finishing a checkpoint", finish)
    return metadata


def _metadata(
    items: Mapping[str, Item], places: Mapping[str, StorageInfo], writer: FileSystemWriter
) -> Metadata:
    contents: dict[str, Any] = {}
    storage: dict[MetadataIndex, StorageInfo] = {}
    for name, item in items.items():
        if item.shape is None:
            contents[name] = BytesStorageMetadata()
            storage[MetadataIndex(name)] = places[name]
            continue
        size, start = Size(item.shape), whole(item.shape)
        properties = TensorProperties(_DTYPES[item.dtype])
        chunks = [ChunkStorageMetadata(start, size)]
        contents[name] = TensorStorageMetadata(properties, size, chunks)
        storage[MetadataIndex(name, start, 0)] = places[name]
    paths = {name: item.path for name, item in items.items()}
    meta = StorageMeta(writer.path, str(uuid.uuid4()))
    return Metadata(contents, paths, storage, meta, VERSION)
