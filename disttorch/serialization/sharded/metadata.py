"""The table of contents of a checkpoint, as PyTorch's classes say it, and its file.

The file is a pickle. It is written under PyTorch's names, so PyTorch reads it, and read with a list
of classes that may be in it, so nothing in it is run.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from disttorch.dtype import ALL, dtype
from disttorch.serialization import names
from disttorch.serialization.allowlist import WeightsUnpickler
from disttorch.serialization.saving import Pickler
from disttorch.size import Size

VERSION = "1.0.0"
_PROTOCOL = 4


@dataclass
class ChunkStorageMetadata:
    """A part of a tensor: where in it, and how large."""

    offsets: Size
    sizes: Size


@dataclass
class TensorProperties:
    """What is known of a tensor beside its size."""

    dtype: dtype
    requires_grad: bool = False
    pin_memory: bool = False

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.dtype, None, self.requires_grad, None, self.pin_memory)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype, _, self.requires_grad, _, self.pin_memory = state


@dataclass
class TensorStorageMetadata:
    """A tensor, in one or several parts."""

    properties: TensorProperties
    size: Size
    chunks: list[ChunkStorageMetadata]


@dataclass
class BytesStorageMetadata:
    """A value that is no tensor."""


@dataclass
class StorageMeta:
    """Where and when a checkpoint was made."""

    checkpoint_id: str | os.PathLike[str] | None = None
    save_id: str | None = None
    load_id: str | None = None
    modules: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class MetadataIndex:
    """The key of a stored piece: name of the value, and the piece's place in a tensor."""

    fqn: str
    offset: Size | None = None
    index: int | None = field(default=None, hash=False, compare=False)


@dataclass
class StorageInfo:
    """Where a piece is: file in the folder, first byte, bytes."""

    relative_path: str
    offset: int
    length: int
    transform_descriptors: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if v is not None}


@dataclass
class Metadata:
    """What is in a checkpoint: values by name, their paths in the nested state, their places."""

    state_dict_metadata: dict[str, TensorStorageMetadata | BytesStorageMetadata]
    planner_data: Any = None
    storage_data: dict[MetadataIndex, StorageInfo] | None = None
    storage_meta: StorageMeta | None = None
    version: str | None = None


class _Layout:
    """Strided, the only layout there is here."""

    def __reduce__(self) -> tuple[Any, ...]:
        return names.Named("torch.serialization", "_get_layout"), ("torch.strided",)


class _MemoryFormat:
    """Contiguous, the only one that is written."""

    def __reduce__(self) -> tuple[Any, ...]:
        return names.Named(_MODULE, "_MEM_FORMAT_ENCODING"), (0,)


_MODULE = "torch.distributed.checkpoint.metadata"
_STORAGE_INFO = ("torch.distributed.checkpoint.filesystem", "_StorageInfo")
_CLASSES: dict[tuple[str, str], Any] = {
    **{
        (_MODULE, cls.__name__): cls
        for cls in (
            *(ChunkStorageMetadata, TensorProperties, TensorStorageMetadata),
            *(BytesStorageMetadata, StorageMeta, MetadataIndex, Metadata),
        )
    },
    _STORAGE_INFO: StorageInfo,
}
_NAMES = {cls: names.Named(*name) for name, cls in _CLASSES.items()}


def _ignored(*args: Any) -> None:
    """Stand for what a pickle asks to be made and nobody reads."""


def _path(*parts: str) -> str:
    return os.path.join(*parts)


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch", "Size"): Size,
    ("torch.serialization", "_get_layout"): _ignored,
    (_MODULE, "_MEM_FORMAT_ENCODING"): _ignored,
    **{
        (module, name): _path
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath")
    },
    **{("torch", kind.name): kind for kind in ALL},
}


class _MetadataPickler(Pickler):
    """Writes the classes above under PyTorch's names."""

    def named(self, obj: Any) -> Any:
        """What a global is called in the file."""
        return _NAMES[obj] if isinstance(obj, type) and obj in _NAMES else super().named(obj)

    def reducer_override(self, obj: Any) -> Any:
        """Say what is not kept here, layout and memory format, as PyTorch has it."""
        if type(obj) is not TensorProperties:
            return super().reducer_override(obj)
        kept = (obj.requires_grad, _MemoryFormat(), obj.pin_memory)
        return copyreg.__newobj__, (TensorProperties,), (obj.dtype, _Layout(), *kept)  # type: ignore[attr-defined]


def to_bytes(metadata: Metadata) -> bytes:
    """The contents of the file."""
    stream = io.BytesIO()
    _MetadataPickler(stream, _PROTOCOL).dump(metadata)
    return stream.getvalue()


def _no_storage(saved_id: Any) -> Any:
    raise pickle.UnpicklingError("there are no tensors in a checkpoint's .metadata")


_DAMAGE = (
    *(LookupError, ArithmeticError, ValueError, TypeError, AttributeError, EOFError),
    *(struct.error, RecursionError, MemoryError),  # lengths and nesting that cannot be
)


def from_bytes(data: bytes, label: str) -> Metadata:
    """What the file holds; pickle.UnpicklingError, naming `label`, if it is not such a file."""
    classes = {".".join(name): cls for name, cls in _CLASSES.items()}
    try:
        found = WeightsUnpickler(io.BytesIO(data), _KNOWN, _no_storage, classes).load()
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f"{label}: {error}") from None
    except _DAMAGE as error:
        raise pickle.UnpicklingError(f"{label} is damaged: {error!r}") from error
    if not isinstance(found, Metadata):
        raise pickle.UnpicklingError(f"{label} holds {type(found).__name__}, not Metadata")
    return found
