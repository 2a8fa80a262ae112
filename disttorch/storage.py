"""The memory behind tensors: `UntypedStorage` (bytes) and `TypedStorage` (elements).

A storage is the whole block of memory that a tensor and all its views share. It is made anew each
time it is asked for; two of the same block have the same `data_ptr()`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from disttorch.backends import Backend, backend_for, backend_of
from disttorch.device import chosen_device
from disttorch.device import device as Device
from disttorch.dtype import TYPE_NAMES, dtype, get_default_dtype

Array = Any


class UntypedStorage:
    """A block of bytes: ``UntypedStorage(5)``, or with these values ``UntypedStorage([1, 2])``."""

    is_cuda = property(lambda self: self.device.type == "cuda")
    is_sparse = False

    def __init__(self, data: Any = 0, *, device: Any = None) -> None:
        backend = backend_for(chosen_device(device))
        values = data if hasattr(data, "__iter__") else None
        self._bytes: Array = backend.xp.zeros(0 if values is not None else data, "uint8")
        self._resizable = True
        if values is not None:
            self._bytes = backend.asarray(list(values), "uint8")

    @classmethod
    def _of(cls, array: Array) -> UntypedStorage:
        """Return the storage that an array of any dtype and shape is a view of."""
        made = cls.__new__(cls)
        made._bytes, made._resizable = backend_of(array).storage_bytes(array), False
        return made

    @property
    def _backend(self) -> Backend:
        return backend_of(self._bytes)

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self._backend.device_of(self._bytes)

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return int(self._bytes.size)

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Return the size of an element in bytes: 1."""
        return 1

    def data_ptr(self) -> int:
        """Return the address of the first byte, 0 if there is none."""
        return self._backend.data_ptr(self._bytes) if self._bytes.size else 0

    def untyped(self) -> UntypedStorage:
        """Return the storage itself."""
        return self

    def resizable(self) -> bool:
        """Whether `resize_` can make it larger: not while tensors look at it."""
        return self._resizable

    def resize_(self, nbytes: int) -> UntypedStorage:
        """Change the size in bytes; RuntimeError for the memory of a tensor, which cannot move."""
        if nbytes == self.nbytes():
            return self
        if not self._resizable:
            raise RuntimeError("Trying to resize storage that is not resizable")
        grown = self._backend.xp.zeros(nbytes, "uint8")
        kept = min(nbytes, self.nbytes())
        grown[:kept] = self._bytes[:kept]
        self._bytes = grown
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Write the bytes of another storage of this size over this one."""
        other = source.untyped()
        if other.nbytes() != self.nbytes():
            raise RuntimeError(
                f"copy_: expected {self.nbytes()} bytes in the source, got {other.nbytes()}"
            )
        self._bytes[...] = self._backend.asarray(other._backend.to_host(other._bytes))
        return self

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte to `value`."""
        self._bytes.fill(value)
        return self

    def clone(self) -> UntypedStorage:
        """Return a copy."""
        made = UntypedStorage(0, device=self.device)
        made._bytes = self._bytes.copy()
        return made

    def cpu(self) -> UntypedStorage:
        """Return the storage in host memory: itself if it is there."""
        if self.device.type == "cpu":
            return self
        made = UntypedStorage(0)
        made._bytes = self._backend.to_host(self._bytes)
        return made

    def is_shared(self) -> bool:
        """Whether forked processes see each other's writes to this memory."""
        return self._backend.is_shared(self._bytes)

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is page-locked."""
        return False

    def tolist(self) -> list[int]:
        """Return the bytes as a list of ints."""
        values: list[int] = self._backend.to_host(self._bytes).tolist()
        return values

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = UntypedStorage._of(self._bytes)
            part._bytes = self._bytes[index]
            return part
        return self._bytes[_checked(index, self.nbytes())].item()

    def __setitem__(self, index: Any, value: int) -> None:
        self._bytes[index if isinstance(index, slice) else _checked(index, self.nbytes())] = value

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        return memo.setdefault(id(self), self.clone())

    def __repr__(self) -> str:
        lines = "\n ".join(map(str, self.tolist()))
        head = f"torch.storage.UntypedStorage(device={self.device}) of size {len(self)}"
        return f" {lines}\n[{head}]"


def _checked(index: int, n: int) -> int:
    if not -n <= index < n:
        raise IndexError(f"index {index} out of range for storage of size {n}")
    return index % n


_DEPRECATED = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the "
    "only storage class. This should only matter to you if you are using storages directly.  To "
    "access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()"
)


class TypedStorage:
    """A block of elements of one dtype, the older kind of storage: ``FloatStorage([1, 2])``."""

    is_cuda = property(lambda self: self.device.type == "cuda")
    is_sparse = False

    def __init__(
        self,
        data: Any = 0,
        *,
        wrap_storage: UntypedStorage | None = None,
        dtype: dtype | None = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        if not _internal:
            warnings.warn(_DEPRECATED, UserWarning, stacklevel=2)
        self.dtype = dtype or get_default_dtype()
        if wrap_storage is not None:
            self._storage = wrap_storage
        elif hasattr(data, "__iter__"):
            backend = backend_for(chosen_device(device))
            self._storage = UntypedStorage._of(backend.asarray(list(data), self.dtype.np))
        else:
            self._storage = UntypedStorage(data * self.dtype.itemsize, device=device)

    @property
    def _elements(self) -> Array:
        memory = self._storage._bytes
        return memory[: memory.size // self.dtype.itemsize * self.dtype.itemsize].view(
            self.dtype.np
        )

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self._storage.device

    def untyped(self) -> UntypedStorage:
        """Return the same memory as bytes."""
        return self._storage

    _untyped_storage = property(untyped)

    def size(self) -> int:
        """Return the number of elements."""
        return self._storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self._storage.nbytes()

    def element_size(self) -> int:
        """Return the size of an element in bytes."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return self._storage.data_ptr()

    def type(self, dtype: Any = None) -> Any:
        """Return the legacy type name such as ``torch.FloatStorage``, or a cast copy."""
        return f"torch.{TYPE_NAMES[self.dtype]}Storage" if dtype is None else self._cast(dtype)

    def _cast(self, kind: dtype) -> TypedStorage:
        memory = UntypedStorage._of(self._elements.astype(kind.np))
        return TypedStorage(wrap_storage=memory, dtype=kind, _internal=True)

    def resize_(self, size: int) -> TypedStorage:
        """Change the number of elements; RuntimeError for the memory of a tensor."""
        self._storage.resize_(size * self.dtype.itemsize)
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Write the elements of another storage over this one, cast to its dtype."""
        self._elements[...] = source._elements
        return self

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element to `value`."""
        self._elements.fill(value)
        return self

    def clone(self) -> TypedStorage:
        """Return a copy."""
        return TypedStorage(wrap_storage=self._storage.clone(), dtype=self.dtype, _internal=True)

    def cpu(self) -> TypedStorage:
        """Return the storage in host memory: itself if it is there."""
        if self.device.type == "cpu":
            return self
        return TypedStorage(wrap_storage=self._storage.cpu(), dtype=self.dtype, _internal=True)

    def is_shared(self) -> bool:
        """Whether forked processes see each other's writes to this memory."""
        return self._storage.is_shared()

    def tolist(self) -> list[Any]:
        """Return the elements as a list of numbers."""
        array = backend_of(self._elements).to_host(self._elements)
        return (array.astype("float32") if array.dtype.kind == "V" else array).tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self.tolist()[_checked(index, len(self))]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements[index if isinstance(index, slice) else _checked(index, len(self))] = value

    def __deepcopy__(self, memo: dict[int, Any]) -> TypedStorage:
        return memo.setdefault(id(self), self.clone())

    def __repr__(self) -> str:
        lines = "\n ".join(map(str, self.tolist()))
        head = f"torch.storage.TypedStorage(dtype={self.dtype}, device={self.device})"
        return f" {lines}\n[{head} of size {len(self)}]"


def _caster(name: str, kind: dtype) -> Any:
    def convert(self: TypedStorage) -> TypedStorage:
        return self._cast(kind)

    convert.__name__ = name
    convert.__doc__ = f"Return a copy in {kind}."
    return convert


class LegacyStorageType(type):
    """Classes such as ``FloatStorage``: they make and recognise `TypedStorage`s of one dtype."""

    dtype: dtype

    def __call__(cls, *args: Any, **keywords: Any) -> TypedStorage:
        """Make a storage of this dtype."""
        return TypedStorage(*args, dtype=cls.dtype, _internal=True, **keywords)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


STORAGE_TYPES: dict[str, LegacyStorageType] = {}
for _dtype, _name in TYPE_NAMES.items():
    if not _name.startswith("UInt"):
        STORAGE_TYPES[f"{_name}Storage"] = LegacyStorageType(
            f"{_name}Storage", (), {"dtype": _dtype, "__module__": "disttorch"}
        )
    _method = {"ComplexFloat": "complex_float", "ComplexDouble": "complex_double"}.get(
        _name, _name.lower()
    )
    setattr(TypedStorage, _method, _caster(_method, _dtype))


def is_storage(obj: Any) -> bool:
    """Return whether `obj` is a storage."""
    return isinstance(obj, (TypedStorage, UntypedStorage))
