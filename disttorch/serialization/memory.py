"""Arrays against storages: which memory a tensor views, and tensors back from such memory.

A storage is the whole block of memory that an array and all its views share. Saving it once, and
a tensor as an offset with strides, is what keeps shared memory shared in the loaded object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.backends import Backend, backend_for, backend_of
from disttorch.device import device as Device
from disttorch.dtype import dtype

Array = Any


@dataclass(frozen=True)
class StorageView:
    """A tensor's place in its storage, in elements: `block` is the storage, a host array (n,)."""

    block: Array
    offset: int
    strides: tuple[int, ...]


def root_of(array: Array) -> Array:
    """Return the array that owns the memory which `array` is a view of."""
    while True:
        base = getattr(array, "base", None)
        # NumPy's as_strided puts an anonymous holder between a view and its source.
        while base is not None and not isinstance(base, type(array)) and hasattr(base, "base"):
            base = base.base
        if base is None or not hasattr(base, "strides") or not hasattr(base, "dtype"):
            return array
        array = base


def place_in_storage(array: Array) -> StorageView:
    """Find the storage of an array and the array's place in it.

    Arrays that PyTorch cannot describe (negative or odd strides, foreign byte order) and roots
    whose memory has holes give a storage of their own: a copy of the array's elements.
    """
    backend, item = backend_of(array), array.itemsize
    if array.size == 0:
        return StorageView(np.empty(0, array.dtype), 0, _row_major(array.shape))
    root = root_of(array)
    dense = root.flags.c_contiguous or root.flags.f_contiguous
    distance = backend.data_ptr(array) - backend.data_ptr(root)
    regular = array.dtype.isnative and all(s >= 0 and s % item == 0 for s in array.strides)
    if not dense or not regular or distance % item or distance < 0:
        return StorageView(_flat_copy(backend, array), 0, _row_major(array.shape))
    memory = root if root.flags.c_contiguous else root.T
    count = root.nbytes // item
    host = backend.to_host(memory).reshape(-1).view(np.uint8)[: count * item]
    strides = tuple(s // item for s in array.strides)
    return StorageView(host.view(array.dtype), distance // item, strides)


def _flat_copy(backend: Backend, array: Array) -> np.ndarray:
    host = np.ascontiguousarray(backend.to_host(array))
    native = host if host.dtype.isnative else host.astype(host.dtype.newbyteorder("="))
    return native.reshape(-1)


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


class LoadedStorage:
    """A storage read from a file, on the device it is to live on; what `map_location` is given."""

    def __init__(self, data: Array, kind: dtype | None, where: Device) -> None:
        self._bytes, self.dtype, self.device = data, kind, where

    @property
    def is_cuda(self) -> bool:
        """Whether it is to live on a CUDA device."""
        return self.device.type == "cuda"

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return int(self._bytes.size)

    def size(self) -> int:
        """Return the number of elements, of bytes if it has no dtype."""
        return self.nbytes() // (self.dtype.itemsize if self.dtype else 1)

    def cpu(self) -> LoadedStorage:
        """Return the storage as one for the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> LoadedStorage:
        """Return the storage as one for a CUDA device, the current one by default."""
        return self.to(Device("cuda") if device is None else Device(device))

    def to(self, device: Any) -> LoadedStorage:
        """Return the storage as one for `device`; RuntimeError if there is no such device."""
        where = Device(device)
        if where == self.device:
            return self
        return LoadedStorage(backend_for(where).asarray(self._bytes), self.dtype, where)

    def view(
        self, kind: dtype, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> Array:
        """Return elements of type `kind` as an array; offset and strides count elements.

        Raises RuntimeError if the view would reach outside the storage.
        """
        numbers = self._bytes[: self._bytes.size // kind.itemsize * kind.itemsize].view(kind.np)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        outside = offset < 0 or any(n < 0 for n in shape) or any(s < 0 for s in strides)
        if outside or (last >= numbers.size and 0 not in shape):
            raise RuntimeError(
                f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset "
                f"{offset}, and itemsize {kind.itemsize} requiring a storage size of "
                f"{(last + 1) * kind.itemsize} are out of bounds for storage of size "
                f"{self.nbytes()}"
            )
        steps = tuple(s * kind.itemsize for s in strides)
        if isinstance(numbers, np.ndarray) and 0 not in shape:
            # Unlike as_strided's, this view names the storage as its base: saved again, it shares.
            return np.ndarray(shape, kind.np, numbers, offset * kind.itemsize, steps)
        backend = backend_for(self.device)
        if 0 in shape:
            return backend.xp.empty(shape, kind.np)
        return backend.as_strided(numbers[offset:], shape, steps)
