"""The store's contents and rules, without sockets, threads or clocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Table:
    """Keys and values as bytes, with the operations of `Store` that never wait."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._queues: dict[bytes, deque[bytes]] = {}  # none is empty

    def __len__(self) -> int:
        return len(self._values) + len(self._queues)

    def has_all(self, keys: Iterable[bytes], *, or_queues: bool = False) -> bool:
        """Whether all keys are set; with `or_queues`, or queues that are not empty."""
        queues = self._queues if or_queues else ()
        return all(key in self._values or key in queues for key in keys)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys that are not set, in the order given."""
        return [key for key in keys if key not in self._values]

    def keys(self) -> list[bytes]:
        """The keys that are set; queues are not among them."""
        return list(self._values)

    def get_all(self, keys: Iterable[bytes]) -> list[bytes]:
        """The values of keys that are all set."""
        return [self._values[key] for key in keys]

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        self._values[key] = value

    def append(self, key: bytes, value: bytes) -> None:
        """Put a value behind the one that is there."""
        self._values[key] = self._values.get(key, b"") + value

    def add(self, key: bytes, amount: int) -> int:
        """Add to a decimal number; raises ValueError if the value is not one."""
        total = int(self._values.get(key, b"0")) + amount
        self._values[key] = b"%d" % total
        return total

    def compare_set(self, key: bytes, expected: bytes, desired: bytes) -> bytes:
        """Set if the value is the expected one; an unset key matches an empty expectation."""
        current = self._values.get(key)
        if current is None:
            if expected:
                return expected
            current = b""
        if current != expected:
            return current
        self._values[key] = desired
        return desired

    def delete(self, key: bytes) -> bool:
        """Remove a key; returns whether it was set."""
        return self._values.pop(key, None) is not None

    def push(self, key: bytes, value: bytes) -> None:
        """Put a value at the end of a queue, which begins to exist with its first."""
        self._queues.setdefault(key, deque()).append(value)

    def pop(self, key: bytes) -> bytes:
        """Take the oldest value out of a queue; KeyError if there is none."""
        queue = self._queues[key]
        value = queue.popleft()
        if not queue:
            del self._queues[key]
        return value

    def give_back(self, key: bytes, value: bytes) -> None:
        """Put a value that was taken out of a queue at its front again."""
        self._queues.setdefault(key, deque()).appendleft(value)

    def queue_len(self, key: bytes) -> int:
        """How many values are in a queue."""
        return len(self._queues.get(key, ()))
