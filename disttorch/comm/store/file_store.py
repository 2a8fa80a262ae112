"""A store in a file that all ranks can reach: a log of changes under a lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import DistStoreError, StoreTimeoutError
from disttorch.comm.store.base import Store, as_bytes, as_text
from disttorch.comm.store.table import Table

T = TypeVar("T")

# Length of the key, length of the value or -1 where the key is removed.
_CHANGE = struct.Struct("<Iq")
# How many processes have the file open; the last one removes it.
_USERS = b"\0users"
_SHORTEST_NAP_S = 1e-3
_LONGEST_NAP_S = 20e-3


class FileStore(Store):
    """Store in the file `file_name`, made if there is none; removed when its last user closes it.

    The file must be on a file system with locks. `world_size` is kept for PyTorch's sake. Raises
    PermissionError if the file is another user's, or others may write to it: who writes it decides
    whom the ranks trust.
    """

    def __init__(
        self, file_name: str, world_size: int = -1, timeout_s: timedelta | float = 300.0
    ) -> None:
        super().__init__(timeout_s)
        self.path = os.fspath(file_name)
        self.world_size = world_size
        self._table = Table()
        self._read = 0
        self._closed = False
        self._change(lambda table: table.add(_USERS, 1), _USERS)

    def set(self, key: str, value: bytes | str) -> None:
        """Store `value` under `key`."""
        name = as_bytes(key)
        self._change(lambda table: table.set(name, as_bytes(value)), name)

    def append(self, key: str, value: bytes | str) -> None:
        """Put `value` behind what `key` holds."""
        name = as_bytes(key)
        self._change(lambda table: table.append(name, as_bytes(value)), name)

    def multi_get(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of `keys`, waiting until all are set."""
        self.wait(keys, timeout_s)
        return self._table.get_all([as_bytes(key) for key in keys])

    def add(self, key: str, amount: int) -> int:
        """Add to the number under `key`; returns the new number."""
        name = as_bytes(key)
        try:
            return self._change(lambda table: table.add(name, amount), name)
        except ValueError:
            raise DistStoreError(f"add: the value of key {key!r} is not a number") from None

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set `key` to `desired` if it holds `expected`; returns the value held afterwards."""
        name, old, new = as_bytes(key), as_bytes(expected), as_bytes(desired)
        return self._change(lambda table: table.compare_set(name, old, new), name)

    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all `keys` are set."""
        wanted = [as_bytes(key) for key in keys]
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        nap_s = _SHORTEST_NAP_S
        while True:
            with self._locked(fcntl.LOCK_SH):
                if self._table.has_all(wanted):
                    return
            if deadline.expired():
                missing = [key.decode() for key in self._table.missing(wanted)]
                raise StoreTimeoutError(
                    f"wait timeout after {deadline.timeout_s:g} s, keys never set: {missing}"
                )
            time.sleep(min(nap_s, deadline.remaining_s()))
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all `keys` are set now."""
        with self._locked(fcntl.LOCK_SH):
            return self._table.has_all(map(as_bytes, keys))

    def delete_key(self, key: str) -> bool:
        """Remove `key`; returns whether it was set."""
        name = as_bytes(key)
        return self._change(lambda table: table.delete(name), name)

    def num_keys(self) -> int:
        """How many keys are set."""
        with self._locked(fcntl.LOCK_SH):
            return len(self._table) - 1

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        with self._locked(fcntl.LOCK_SH):
            return [as_text(key) for key in self._table.keys() if key != _USERS]

    def clone(self) -> FileStore:
        """Another user of the same file, to be closed on its own."""
        return FileStore(self.path, self.world_size, self.timeout_s)

    def close(self) -> None:
        """Stop using the file, and remove it if nobody else does; safe to call twice."""
        if self._closed:
            return
        with contextlib.suppress(FileNotFoundError):
            if self._change(lambda table: table.add(_USERS, -1), _USERS) <= 0:
                os.unlink(self.path)
        self._closed = True

    def _change(self, change: Callable[[Table], T], key: bytes) -> T:
        with self._locked(fcntl.LOCK_EX) as fd:
            result = change(self._table)
            value = self._table.get_all([key])[0] if self._table.has_all([key]) else None
            head = _CHANGE.pack(len(key), -1 if value is None else len(value))
            record = head + key + (value or b"")
            os.ftruncate(fd, self._read)
            os.pwrite(fd, record, self._read)
            self._read += len(record)
            return result

    @contextmanager
    def _locked(self, kind: int) -> Iterator[int]:
        if self._closed:
            raise DistStoreError(f"the store in {self.path} was closed")
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _check_own(fd, self.path)
            fcntl.flock(fd, kind)
            self._catch_up(fd)
            yield fd
        finally:
            os.close(fd)

    def _catch_up(self, fd: int) -> None:
        """Take in what others have written since the last look."""
        data = os.pread(fd, max(0, os.fstat(fd).st_size - self._read), self._read)
        at = 0
        while len(data) - at >= _CHANGE.size:
            n_key, n_value = _CHANGE.unpack_from(data, at)
            start = at + _CHANGE.size + n_key
            end = start + max(n_value, 0)
            if end > len(data):
                # A writer was killed half-way; the next writer overwrites its rest.
                break
            key = data[at + _CHANGE.size : start]
            if n_value < 0:
                self._table.delete(key)
            else:
                self._table.set(key, data[start:end])
            at = end
        self._read += at


def _check_own(fd: int, path: str) -> None:
    found = os.fstat(fd)
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & stat.S_IWOTH:
        raise PermissionError(
            f"{path} belongs to user number {found.st_uid} and has mode {found.st_mode & 0o777:o}: "
            f"another user could write to this store; remove it, or use a file of your own with "
            f"mode 600"
        )
