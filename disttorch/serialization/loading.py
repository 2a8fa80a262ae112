"""`load`: objects from torch's zip format, by default without running code from the file."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from disttorch.backends import backend_for
from disttorch.device import device as Device
from disttorch.dtype import ALL, dtype
from disttorch.nn.parameter import Parameter
from disttorch.serialization import names
from disttorch.serialization.allowlist import WeightsUnpickler, check_state
from disttorch.serialization.archive import ArchiveReader
from disttorch.serialization.memory import LoadedStorage
from disttorch.size import Size
from disttorch.tensor import Tensor

MapLocation = (
    str | Device | dict[str, str] | Callable[[LoadedStorage, str], LoadedStorage | None] | None
)
_ZIP_MAGIC = b"PK\x03\x04"
_NO_CUDA = (
    "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If "
    "you are running on a CPU-only machine, please use torch.load with "
    "map_location=torch.device('cpu') to map your storages to the CPU."
)
_ADVICE = (
    "Weights only load failed. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the "
    "file from a trusted source.\n\tWeightsUnpickler error: "
)


# ---- tensors from their parts ----------------------------------------------------------------


def _rebuild_tensor(
    storage: LoadedStorage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    if storage.dtype is None:
        raise pickle.UnpicklingError("the file gives a tensor neither a dtype nor a typed storage")
    return Tensor._wrap(storage.view(storage.dtype, offset, tuple(shape), tuple(strides)))


def _rebuild_tensor_v2(
    storage: LoadedStorage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    tensor = _rebuild_tensor(storage, offset, shape, strides)
    if metadata and metadata.get("conj"):
        tensor = Tensor._wrap(tensor._array.conj())
    if metadata and metadata.get("neg"):
        tensor = Tensor._wrap(-tensor._array)
    return tensor.requires_grad_(bool(requires_grad))


def _rebuild_tensor_v3(
    storage: LoadedStorage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any,
    kind: dtype,
    metadata: Any = None,
) -> Tensor:
    array = storage.view(kind, offset, tuple(shape), tuple(strides))
    return Tensor._wrap(array).requires_grad_(bool(requires_grad))


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any = None) -> Any:
    return Parameter(data, bool(requires_grad))


def _rebuild_parameter_with_state(
    data: Tensor, requires_grad: bool, backward_hooks: Any, state: dict[str, Any]
) -> Any:
    parameter = Parameter(data, bool(requires_grad))
    return _with_state(parameter, state)


def _rebuild_from_type_v2(
    build: Callable[..., Tensor], cls: type, args: tuple[Any, ...], state: dict[str, Any]
) -> Tensor:
    if build not in _REBUILDERS.values() or not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise pickle.UnpicklingError(f"the file asks for a tensor of class {cls!r}")
    tensor = build(*args)
    if type(tensor) is not cls:
        plain, tensor = tensor, cls._wrap(tensor._array)
        tensor.requires_grad_(plain.requires_grad)
    return _with_state(tensor, state)


def _with_state(tensor: Tensor, state: dict[str, Any]) -> Tensor:
    check_state(state)
    tensor.__dict__.update(state)
    return tensor


_REBUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter_with_state,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type_v2,
}
_KNOWN: dict[tuple[str, str], Any] = {
    **_REBUILDERS,
    **names.storage_types(),
    **{("torch", kind.name): kind for kind in ALL},
    ("torch", "Size"): Size,
    ("torch", "device"): Device,
    ("torch", "Tensor"): Tensor,
    ("torch.nn.parameter", "Parameter"): Parameter,
}


# ---- storages --------------------------------------------------------------------------------


def _on_device(storage: LoadedStorage, location: str) -> LoadedStorage:
    """Move a storage to where a location says; RuntimeError with torch's words if it cannot."""
    try:
        where = Device(location)
    except RuntimeError:
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
            f"{location})"
        ) from None
    try:
        backend_for(where)
    except AssertionError:
        raise RuntimeError(_NO_CUDA) from None
    return storage.to(where)


def _mapped(storage: LoadedStorage, location: str, map_location: MapLocation) -> LoadedStorage:
    """Put a storage where the file or the caller wants it."""
    if callable(map_location):
        chosen = map_location(storage, location)
        return _on_device(storage, location) if chosen is None else chosen
    if isinstance(map_location, dict):
        location = map_location.get(location, location)
    elif map_location is not None:
        location = str(map_location)
    return _on_device(storage, location)


class _Storages:
    """Reads each storage of an archive once, when a tensor first asks for it."""

    def __init__(self, archive: ArchiveReader, map_location: MapLocation) -> None:
        self._archive, self._map_location = archive, map_location
        self._swap = archive.is_foreign_endian
        self._loaded: dict[str, LoadedStorage] = {}

    def load(self, saved_id: Any) -> LoadedStorage:
        """Return the storage that a persistent id names; UnpicklingError for an odd id."""
        match saved_id:
            case ("storage", names.StorageType() as kind, str(key), str(location), int()):
                pass
            case _:
                raise pickle.UnpicklingError(f"not a storage of a tensor: {saved_id!r}")
        if key not in self._loaded:
            data = self._archive.read_array(f"data/{key}")
            if self._swap and kind.dtype is not None:
                data = _swapped(data, kind.dtype)
            storage = LoadedStorage(data, kind.dtype, Device("cpu"))
            self._loaded[key] = _mapped(storage, location, self._map_location)
        return self._loaded[key]


def _swapped(data: np.ndarray, kind: dtype) -> np.ndarray:
    """Change the byte order of numbers, of both parts of complex ones."""
    nbytes = kind.itemsize // (2 if kind.is_complex else 1)
    return data.reshape(-1, nbytes)[:, ::-1].reshape(-1)


# ---- the public function ---------------------------------------------------------------------


class _TrustingUnpickler(pickle.Unpickler):
    """Unpickles anything that can be imported; torch's modules are looked for under ours."""

    def __init__(self, stream: BinaryIO, storages: _Storages, **options: Any) -> None:
        super().__init__(stream, **options)
        self._storages = storages

    def persistent_load(self, saved_id: Any) -> LoadedStorage:
        return self._storages.load(saved_id)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.partition(".")[0] == "torch":
            return _own_counterpart(module, name)
        return super().find_class(module, name)


def _own_counterpart(module: str, name: str) -> Any:
    """Find torch's class or function of that name in disttorch; AttributeError if missing."""
    parts = module.split(".")[1:]
    for depth in range(len(parts), -1, -1):
        try:
            candidate = import_module(".".join(["disttorch", *parts[:depth]]))
        except ModuleNotFoundError:
            continue
        if hasattr(candidate, name):
            return getattr(candidate, name)
    raise AttributeError(f"the file needs {module}.{name}, which disttorch does not have")


def load(
    f: str | os.PathLike[str] | BinaryIO,
    map_location: MapLocation = None,
    pickle_module: Any = pickle,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `save` of disttorch or torch (1.6 or later) wrote; `f` is a path or a stream.

    `map_location` says where tensors go: a device, a dict from saved to wanted locations, or a
    function of (storage, location). By default (`weights_only` None or True) only tensors, plain
    values, containers and what `add_safe_globals` named are loaded; False runs whatever code the
    file names. `mmap` is accepted; files are read.

    Raises FileNotFoundError, EOFError for an empty file, RuntimeError for a damaged one or a
    device that is missing, and pickle.UnpicklingError for contents that are not allowed.
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            return _load(stream, repr(os.fspath(f)), map_location, weights_only, pickle_load_args)
    if not (hasattr(f, "seek") and hasattr(f, "read")):
        raise AttributeError(
            f"'{type(f).__name__}' object has no attribute 'seek'. You can only torch.load from a "
            "file that is seekable. Please pre-load the data into a buffer like io.BytesIO and try "
            "to load from it instead."
        )
    return _load(f, "the stream", map_location, weights_only, pickle_load_args)


def _load(
    stream: BinaryIO,
    label: str,
    map_location: MapLocation,
    weights_only: bool | None,
    options: dict[str, Any],
) -> Any:
    start = stream.tell()
    magic = stream.read(len(_ZIP_MAGIC))
    if not magic:
        raise EOFError(f"{label} is empty: nothing was saved to it, or it was read to its end")
    if magic != _ZIP_MAGIC:
        raise pickle.UnpicklingError(
            f"{label} is no checkpoint in the zip format (it begins with {magic!r}); files of "
            "torch before 1.6 have to be saved again by a later torch"
        )
    stream.seek(start)
    archive = ArchiveReader(stream, label)
    storages = _Storages(archive, map_location)
    pickled = io.BytesIO(archive.read("data.pkl"))
    if weights_only is False:
        return _TrustingUnpickler(pickled, storages, **options).load()
    try:
        return WeightsUnpickler(pickled, _KNOWN, storages.load).load()
    except pickle.UnpicklingError as e:
        raise pickle.UnpicklingError(f"{_ADVICE}{e}") from None
    except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError, EOFError) as e:
        raise pickle.UnpicklingError(
            f"{label}: the pickle in it is damaged or not one of a checkpoint: {e!r}"
        ) from e
