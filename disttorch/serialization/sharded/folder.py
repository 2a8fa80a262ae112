"""The files of a checkpoint: each rank's data in one, `.metadata` beside them.

Data goes into files of new names, and `.metadata` replaces the old one when all of it is on the
disk: whenever a save is stopped, the folder has the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from disttorch.serialization.atomic import atomic_writer
from disttorch.serialization.loading import load
from disttorch.serialization.saving import save
from disttorch.serialization.sharded.metadata import Metadata, StorageInfo, from_bytes, to_bytes
from disttorch.tensor import Tensor

_METADATA = ".metadata"
_DATA = re.compile(r"__\d+_(\d+)\.distcp")
# What `atomic_writer` leaves if its process is killed.
_UNFINISHED = re.compile(r"\.\.metadata\.[0-9a-f]+\.tmp")


def _as_stored(value: Any) -> Any:
    """A value as it goes into a file: a tensor on the host, with memory of its own."""
    if not isinstance(value, Tensor):
        return value
    tensor: Any = value.detach().cpu()
    return tensor if tensor._array.base is None else tensor.clone()


class FileSystemWriter:
    """Writes checkpoints into the folder `path`, which is made if there is none.

    With `sync_files` data is on the disk before it counts. Without `overwrite`, RuntimeError if
    there is a checkpoint. The other arguments, ways to write faster, change nothing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        single_file_per_rank: bool = True,
        sync_files: bool = True,
        thread_count: int = 1,
        per_thread_copy_ahead: int = 10_000_000,
        cache_staged_state_dict: bool = False,
        overwrite: bool = True,
    ) -> None:
        self.path = os.fspath(path)
        self.sync_files = sync_files
        self.overwrite = overwrite

    @property
    def checkpoint_id(self) -> str:
        """The folder."""
        return self.path

    def begin(self) -> int:
        """Make the folder; returns the number that names the files of a new save in it."""
        os.makedirs(self.path, exist_ok=True)
        names = os.listdir(self.path)
        if _METADATA in names and not self.overwrite:
            raise RuntimeError(f"Checkpoint already exists and self.overwrite=False: {self.path}")
        return max((int(m[1]) + 1 for m in map(_DATA.fullmatch, names) if m), default=0)

    def write(self, values: Mapping[str, Any], rank: int, number: int) -> dict[str, StorageInfo]:
        """Write the values of a rank; returns where each is."""
        if not values:
            return {}
        name, places = f"__{rank}_{number}.distcp", {}
        os.makedirs(self.path, exist_ok=True)
        # A name that `begin` found unused; if there is something now, it is not ours to write to.
        with open(os.path.join(self.path, name), "xb") as file:
            for key, value in values.items():
                start = file.tell()
                save(_as_stored(value), file)
                places[key] = StorageInfo(name, start, file.tell() - start)
            file.flush()
            if self.sync_files:
                os.fsync(file.fileno())
        return places

    def finish(self, metadata: Metadata) -> None:
        """Let a save count, and remove what earlier ones left, also such as were killed."""
        with atomic_writer(os.path.join(self.path, _METADATA), follow_link=False) as file:
            file.write(to_bytes(metadata))
        used = {info.relative_path for info in (metadata.storage_data or {}).values()}
        for name in os.listdir(self.path):
            unused = _DATA.fullmatch(name) and name not in used
            if unused or _UNFINISHED.fullmatch(name):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, name))


class FileSystemReader:
    """Reads the checkpoint in the folder `path`, of this library or of PyTorch."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @property
    def checkpoint_id(self) -> str:
        """The folder."""
        return self.path

    def read_metadata(self) -> Metadata:
        """What is in the checkpoint; FileNotFoundError if there is none, UnpicklingError if bad."""
        path = os.path.join(self.path, _METADATA)
        with open(path, "rb") as file:
            return from_bytes(file.read(), path)

    def read(self, info: StorageInfo) -> Any:
        """One stored value; runs nothing that is in the file. RuntimeError if it is cut short."""
        name = info.relative_path
        if os.path.isabs(name) or ".." in name.split("/"):
            raise RuntimeError(
                f"{self.path}/{_METADATA} names a file outside of the folder: {name}"
            )
        if info.transform_descriptors:
            raise RuntimeError(f"{name} is stored as {info.transform_descriptors}, unknown here")
        with open(os.path.join(self.path, name), "rb") as file:
            file.seek(info.offset)
            data = file.read(info.length)
        if len(data) != info.length:
            raise RuntimeError(
                f"{os.path.join(self.path, name)} ends after {info.offset + len(data)} bytes, but "
                f"{_METADATA} says that a value goes to {info.offset + info.length}"
            )
        return load(io.BytesIO(data), "cpu")
