"""`save`: objects into torch's zip format, readable by ``torch.load(weights_only=True)``."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from disttorch.device import device as Device
from disttorch.dtype import dtype
from disttorch.nn.parameter import Parameter
from disttorch.serialization import names
from disttorch.serialization.archive import ArchiveWriter
from disttorch.serialization.atomic import atomic_writer
from disttorch.serialization.memory import place_in_storage
from disttorch.size import Size
from disttorch.tensor import Tensor

_FORMAT_VERSION = b"3\n"
_STACK_GLOBAL_FROM_PROTOCOL = 4


@dataclass(frozen=True)
class _SavedStorage:
    """A storage on its way into the pickle: its record's key and its elements, a host array."""

    key: str
    kind: names.Named
    location: str
    elements: np.ndarray

    def persistent_id(self) -> tuple[Any, ...]:
        """What stands for the storage in the pickle."""
        return ("storage", self.kind, self.key, self.location, self.elements.size)


# The pickler of the pickle module in Python: the one in C looks up every global it writes, and
# torch's are not there to be found.
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined, unused-ignore]


class Pickler(_PythonPickler):
    """Pickles tensors as torch does and collects their storages."""

    def __init__(self, stream: BinaryIO, protocol: int) -> None:
        super().__init__(stream, protocol)
        self.storages: dict[tuple[Any, ...], _SavedStorage] = {}

    def persistent_id(self, obj: Any) -> Any:
        """Name storages; everything else is pickled in place."""
        return obj.persistent_id() if type(obj) is _SavedStorage else None

    def reducer_override(self, obj: Any) -> Any:
        """Say how objects of this library look in torch's format."""
        kind = type(obj)
        if kind is names.Named:
            return obj.name
        if isinstance(obj, Tensor):
            if kind.__reduce_ex__ is not Tensor.__reduce_ex__:
                return NotImplemented  # its class says itself how it is pickled
            return self._reduce_tensor(obj)
        if kind is dtype:
            return obj.name
        if kind is Size:
            return names.SIZE, (tuple(obj),)
        if kind is Device:
            return names.DEVICE, (obj.type,) if obj.index is None else (obj.type, obj.index)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a global; torch's names are written without looking for torch."""
        named = self.named(obj)
        if type(named) is not names.Named:
            super().save_global(obj, name)
            return
        if self.proto >= _STACK_GLOBAL_FROM_PROTOCOL:
            self.save(named.module)
            self.save(named.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())
        self.memoize(obj)

    def named(self, obj: Any) -> Any:
        """Torch's name of a global, or what stands for itself."""
        return names.DTYPES.get(obj) if type(obj) is dtype else obj

    def _reduce_tensor(self, tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
        """How to rebuild a tensor: its place in a storage, its class, and users' attributes."""
        state = dict(tensor.__dict__)
        if type(tensor) is Parameter:
            data = Tensor._wrap(tensor._array)
            args: tuple[Any, ...] = (data, tensor.requires_grad, OrderedDict())
            if state:
                return names.REBUILD_PARAMETER_WITH_STATE, (*args, state)
            return names.REBUILD_PARAMETER, args
        build, args = self._reduce_plain(tensor)
        if type(tensor) is Tensor and not state:
            return build, args
        cls = names.TENSOR if type(tensor) is Tensor else type(tensor)
        return names.REBUILD_FROM_TYPE, (build, cls, args, state)

    def _reduce_plain(self, tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
        place = place_in_storage(tensor._array)
        kind, strides = tensor.dtype, place.strides
        storage_type = names.STORAGES.get(kind)
        storage = self._storage(place.block, storage_type, str(tensor.device))
        shape = tuple(tensor.shape)
        args: tuple[Any, ...] = (
            storage,
            place.offset,
            shape,
            strides,
            tensor.requires_grad,
            OrderedDict(),
        )
        if storage_type is None:
            return names.REBUILD_TENSOR_OF_DTYPE, (*args, kind)
        return names.REBUILD_TENSOR, args

    def _storage(self, block: np.ndarray, kind: names.Named | None, location: str) -> _SavedStorage:
        """Return the storage of a block of memory, the same for all tensors that view it.

        Views of one block as different dtypes get a storage each: a typed storage has one dtype.
        """
        address = block.__array_interface__["data"][0]
        seen = (address, block.nbytes, block.dtype) if block.size else (len(self.storages),)
        if seen not in self.storages:
            elements = block if kind else block.view(np.uint8)
            key, named = str(len(self.storages)), kind or names.UNTYPED_STORAGE
            self.storages[seen] = _SavedStorage(key, named, location, elements)
        return self.storages[seen]


def save(
    obj: Any,
    f: str | os.PathLike[str] | BinaryIO,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save `obj` to a file, in torch's zip format; tensors that share memory stay shared.

    `f` is a path or an object with `write`. A path is replaced only when the new file is complete
    and on the disk: a crash leaves the old file or the new one, never half of one. Raises
    RuntimeError if the folder of the path does not exist, AttributeError for an `f` that is
    neither, and what pickle raises for objects that cannot be pickled.
    """
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        if os.path.isdir(path):
            raise IsADirectoryError(f"cannot save to {path!r}: it is a folder, name a file in it")
        folder = os.path.basename(path).rpartition(".")[0] or os.path.basename(path)
        pickled, storages = _pickle(obj, pickle_protocol)
        with atomic_writer(path) as stream:
            _write_archive(stream, folder, pickled, storages)
        return
    if not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    pickled, storages = _pickle(obj, pickle_protocol)
    # A zip file's directory counts from its start, which a stream in use may be past already.
    buffer = io.BytesIO()
    _write_archive(buffer, "archive", pickled, storages)
    f.write(buffer.getbuffer())


def _pickle(obj: Any, protocol: int) -> tuple[bytes, list[_SavedStorage]]:
    """Pickle an object; the storages have to stay alive until they are written."""
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol)
    pickler.dump(obj)
    return stream.getvalue(), list(pickler.storages.values())


def _write_archive(
    stream: BinaryIO, folder: str, pickled: bytes, storages: list[_SavedStorage]
) -> None:
    archive = ArchiveWriter(stream, folder)
    archive.write("data.pkl", pickled)
    archive.write(".format_version", b"1")
    archive.write(".storage_alignment", b"64")
    archive.write("byteorder", sys.byteorder.encode())
    for storage in storages:
        archive.write(f"data/{storage.key}", memoryview(storage.elements.view(np.uint8)))
    archive.write("version", _FORMAT_VERSION)
    archive.close()
