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
from disttorch.comm.errors import DistStoreError, NotANumberError, StoreTimeoutError
from disttorch.comm.store.base import Store, as_amount, as_bytes, as_keys, as_text
from disttorch.comm.store.table import Table

T = TypeVar("T")

# Length of the key, length of the value or -1 where the key is removed.
_CHANGE = struct.Struct("<Iq")
# How many stores have the file open, and how many of the job's ranks have closed theirs.
_USERS, _ENDED = b"\0users", b"\0ended"
_SHORTEST_NAP_S = 1e-3
# What others do under the lock takes far less, unless they are stopped.
_SHORTEST_LOCK_S = 1.0
_LONGEST_NAP_S = 20e-3


class FileStore(Store):
    """Store in the file `file_name`, made if there is none; removed when its last user closes it.

    With a `world_size`, not before so many ranks have closed theirs: one may come late. The file
    must be on a file system with locks. Raises PermissionError if the file is another user's, or
    others may write to it: who writes it decides whom the ranks trust. Calls raise DistStoreError
    if the file cannot be written, or somebody else has removed it.
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
        self._is_clone = False
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
        return self._awaited(keys, timeout_s)

    def add(self, key: str, amount: int) -> int:
        """Add to the number under `key`; returns the new number."""
        name, number = as_bytes(key), as_amount(amount)
        try:
            return self._change(lambda table: table.add(name, number), name)
        except ValueError:
            raise NotANumberError(f"add: the value of key {key!r} is not a number") from None

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set `key` to `desired` if it holds `expected`; returns the value held afterwards."""
        name, old, new = as_bytes(key), as_bytes(expected), as_bytes(desired)
        return self._change(lambda table: table.compare_set(name, old, new), name)

    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all `keys` are set."""
        self._awaited(keys, timeout_s)

    def _awaited(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of `keys` as soon as all are set."""
        wanted = as_keys(keys)
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        nap_s = _SHORTEST_NAP_S
        while True:
            with self._locked(deadline.remaining_s()):
                if self._table.has_all(wanted):
                    return self._table.get_all(wanted)
            if deadline.expired():
                missing = [as_text(key) for key in self._table.missing(wanted)]
                raise StoreTimeoutError(
                    f"wait timeout after {deadline.timeout_s:g} s, keys never set: {missing}"
                )
            time.sleep(min(nap_s, deadline.remaining_s()))
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all `keys` are set now."""
        with self._locked():
            return self._table.has_all(as_keys(keys))

    def delete_key(self, key: str) -> bool:
        """Remove `key`; returns whether it was set."""
        name = as_bytes(key)
        return self._change(lambda table: table.delete(name), name)

    def num_keys(self) -> int:
        """How many keys are set."""
        with self._locked():
            return len(_users_keys(self._table))

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        with self._locked():
            return list(map(as_text, _users_keys(self._table)))

    def clone(self) -> FileStore:
        """Another user of the same file, to be closed on its own."""
        twin = FileStore(self.path, self.world_size, self.timeout_s)
        twin._is_clone = True
        return twin

    def close(self) -> None:
        """Stop using the file, and remove it if nobody else does; safe to call twice."""
        if self._closed:
            return
        # The file may have gone with the directory that it was in.
        with contextlib.suppress(DistStoreError, FileNotFoundError):
            self._leave()
        self._closed = True

    def _leave(self) -> None:
        with self._locked(0.0) as fd:
            n_users = self._make(fd, lambda table: table.add(_USERS, -1), _USERS)
            own = 0 if self._is_clone else 1
            n_ended = self._make(fd, lambda table: table.add(_ENDED, own), _ENDED)
            if n_users <= 0 and n_ended >= self.world_size:
                # Under the lock: who opens it meanwhile finds that it has no name any more.
                os.unlink(self.path)

    def _change(self, change: Callable[[Table], T], key: bytes) -> T:
        with self._locked() as fd:
            return self._make(fd, change, key)

    def _make(self, fd: int, change: Callable[[Table], T], key: bytes) -> T:
        """Change what `key` holds, here and in the locked file."""
        result = change(self._table)
        value = self._table.get_all([key])[0] if self._table.has_all([key]) else None
        head = _CHANGE.pack(len(key), -1 if value is None else len(value))
        record = memoryview(head + key + (value or b""))
        at = 0
        try:
            os.ftruncate(fd, self._read)
            while at < record.nbytes:
                at += os.pwrite(fd, record[at:], self._read + at)
        except OSError as error:
            # What the others cannot read has not happened here either.
            self._table, self._read = Table(), 0
            self._catch_up(fd)
            raise DistStoreError(f"cannot write to the store in {self.path}: {error}") from error
        self._read += record.nbytes
        return result

    @contextmanager
    def _locked(self, timeout_s: float | None = None) -> Iterator[int]:
        """The file, caught up with; nobody else reads or writes it, in no thread either.

        Raises StoreTimeoutError if that takes longer than `timeout_s`, by default the store's, and
        a second at the least.
        """
        if self._closed:
            raise DistStoreError(f"the store in {self.path} was closed")
        is_ours = False
        while not is_ours:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _check_own(fd, self.path)
                self._lock(fd, self.timeout_s if timeout_s is None else timeout_s)
                if is_ours := self._is_there(fd):
                    self._catch_up(fd)
                    yield fd
            finally:
                os.close(fd)

    def _lock(self, fd: int, timeout_s: float) -> None:
        deadline = Deadline.after(max(timeout_s, _SHORTEST_LOCK_S))
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            # A lock that blocks would do so for as long as a stopped process holds it.
            if deadline.expired():
                raise StoreTimeoutError(
                    f"the store in {self.path} was locked by another process for "
                    f"{deadline.timeout_s:g} s; is one of the ranks stopped?"
                )
            time.sleep(_SHORTEST_NAP_S)

    def _is_there(self, fd: int) -> bool:
        """Whether the locked file still has its name; if not, it is another one's that has ended.

        Raises DistStoreError if this store has used it before.
        """
        found = os.fstat(fd)
        if found.st_nlink and found.st_size >= self._read:
            return True
        if self._read:
            raise DistStoreError(f"the file of the store, {self.path}, was removed or cut short")
        return False

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


def _users_keys(table: Table) -> list[bytes]:
    """The keys but those in which the file's users are counted."""
    return [key for key in table.keys() if key not in (_USERS, _ENDED)]
