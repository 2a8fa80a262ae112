"""A store inside one process: for tests and for ranks that are threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import NotANumberError, QueueEmptyError, StoreTimeoutError
from disttorch.comm.store.base import Store, as_amount, as_bytes, as_keys, as_text
from disttorch.comm.store.table import Table


class HashStore(Store):
    """Thread-safe store in this process's memory; time-outs in seconds."""

    def __init__(self, timeout_s: timedelta | float = 300.0) -> None:
        super().__init__(timeout_s)
        self._table = Table()
        self._changed = threading.Condition()

    def set(self, key: str, value: bytes | str) -> None:
        """Store `value` under `key`."""
        with self._changed:
            self._table.set(as_bytes(key), as_bytes(value))
            self._changed.notify_all()

    def append(self, key: str, value: bytes | str) -> None:
        """Put `value` behind what `key` holds."""
        with self._changed:
            self._table.append(as_bytes(key), as_bytes(value))
            self._changed.notify_all()

    def multi_get(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of `keys`, waiting until all are set."""
        with self._changed:
            return self._table.get_all(self._wait(keys, timeout_s))

    def add(self, key: str, amount: int) -> int:
        """Add to the number under `key`; returns the new number."""
        with self._changed:
            try:
                total = self._table.add(as_bytes(key), as_amount(amount))
            except ValueError:
                raise NotANumberError(f"add: the value of key {key!r} is not a number") from None
            self._changed.notify_all()
            return total

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set `key` to `desired` if it holds `expected`; returns the value held afterwards."""
        with self._changed:
            held = self._table.compare_set(as_bytes(key), as_bytes(expected), as_bytes(desired))
            self._changed.notify_all()
            return held

    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all `keys` are set."""
        with self._changed:
            self._wait(keys, timeout_s, or_queues=True)

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all `keys` are set now."""
        with self._changed:
            return self._table.has_all(as_keys(keys), or_queues=True)

    def delete_key(self, key: str) -> bool:
        """Remove `key`; returns whether it was set."""
        with self._changed:
            return self._table.delete(as_bytes(key))

    def num_keys(self) -> int:
        """How many keys are set."""
        with self._changed:
            return len(self._table)

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        with self._changed:
            return list(map(as_text, self._table.keys()))

    def queue_push(self, key: str, value: bytes | str) -> None:
        """Put `value` at the end of the queue `key`."""
        with self._changed:
            self._table.push(as_bytes(key), as_bytes(value))
            self._changed.notify_all()

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the oldest value out of the queue `key`."""
        name, deadline = as_bytes(key), Deadline.after(self.timeout_s)
        with self._changed:
            while not self._table.queue_len(name):
                if not block:
                    raise QueueEmptyError("queue is empty")
                if deadline.expired():
                    raise StoreTimeoutError(
                        f"wait timeout after {deadline.timeout_s:g} s, queue {key!r} stayed empty"
                    )
                self._changed.wait(deadline.remaining_s())
            return self._table.pop(name)

    def queue_len(self, key: str) -> int:
        """How many values are in the queue `key`."""
        with self._changed:
            return self._table.queue_len(as_bytes(key))

    def close(self) -> None:
        """Nothing to give back."""

    def _wait(
        self, keys: Sequence[str], timeout_s: timedelta | float | None, or_queues: bool = False
    ) -> list[bytes]:
        wanted = as_keys(keys)
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        while not self._table.has_all(wanted, or_queues=or_queues):
            if deadline.expired():
                missing = [as_text(key) for key in self._table.missing(wanted)]
                raise StoreTimeoutError(
                    f"wait timeout after {deadline.timeout_s:g} s, keys never set: {missing}"
                )
            self._changed.wait(deadline.remaining_s())
        return wanted
