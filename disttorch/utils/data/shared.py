"""Lists and arrays that worker processes read without copying them.

A Python object is written to whenever it is looked at (its reference count), so each forked worker
ends up with a copy of every page of them. What is packed here lies in one block of shared memory,
without a count per item, whether workers are forked or not.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from disttorch.comm.transport.process import ProcessId
from disttorch.comm.transport.segment import Segment, map_peer

_BYTES, _TEXT, _PICKLE = range(3)


class SharedArray:
    """A copy of an array in shared memory: read through ``numpy.asarray`` or indexing.

    Sent to another process it is not copied, as long as the one that made it lives.
    Raises SharedMemoryError if there is not enough memory.
    """

    def __init__(self, array: Any) -> None:
        source = np.ascontiguousarray(array)
        if source.dtype.hasobject:
            raise TypeError(f"SharedArray holds numbers, not {source.dtype}: use SharedList")
        self._segment: Segment | None = Segment(source.nbytes, source.nbytes)
        self._address = (ProcessId.current(), self._segment.fd, max(1, source.nbytes))
        self._wrap(self._segment.memory, source.dtype, source.shape)
        np.copyto(self._array, source)

    def _wrap(self, memory: mmap.mmap, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        n = int(np.prod(shape))
        self._array = np.frombuffer(memory, dtype, n).reshape(shape)

    @property
    def array(self) -> np.ndarray:
        """The array itself, a view of the shared memory; writes are seen by all."""
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy:
            return np.array(self._array, dtype)
        return np.asarray(self._array, dtype)

    def __getitem__(self, index: Any) -> Any:
        return self._array[index]

    def __len__(self) -> int:
        return len(self._array)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "address": self._address,
            "dtype": self._array.dtype,
            "shape": self._array.shape,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._segment, self._address = None, state["address"]
        self._wrap(map_peer(*self._address), state["dtype"], state["shape"])


class SharedList(Sequence[Any]):
    """A list of strings, bytes or any picklable objects that cannot be changed, packed.

    Items are unpacked when asked for: strings in a fraction of a microsecond, other objects by
    pickle.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        packed = bytearray()
        ends, kinds = [0], bytearray()
        for item in items:
            kind, data = _pack(item)
            packed += data
            ends.append(len(packed))
            kinds.append(kind)
        self._data = SharedArray(np.frombuffer(bytes(packed), np.uint8))
        self._ends = SharedArray(np.asarray(ends, np.int64))
        self._kinds = SharedArray(np.frombuffer(bytes(kinds), np.uint8))
        self._open()

    def _open(self) -> None:
        # Looked into item by item, a memoryview is several times as fast as an array.
        self._views = tuple(memoryview(x.array) for x in (self._data, self._ends, self._kinds))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._views[2])

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        n = len(self)
        if not -n <= index < n:
            raise IndexError("list index out of range")
        i = index % n
        data, ends, kinds = self._views
        packed = data[ends[i] : ends[i + 1]]
        if kinds[i] == _TEXT:
            return str(packed, "utf-8", "surrogatepass")
        return bytes(packed) if kinds[i] == _BYTES else pickle.loads(packed)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"SharedList of {len(self)} items, {len(self._data)} bytes"


def _pack(item: Any) -> tuple[int, bytes]:
    if type(item) is str:
        return _TEXT, item.encode("utf-8", "surrogatepass")
    if type(item) is bytes:
        return _BYTES, item
    return _PICKLE, pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
