"""The interface of a store, with torch.distributed.Store's operations and bytes as values."""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from disttorch.comm.deadline import Deadline, in_seconds
from disttorch.comm.errors import DistStoreError


class Store(ABC):
    """Keys (str) to values (bytes; a str is encoded as UTF-8), shared by the ranks of a job.

    `get` and `wait` block until the keys exist and raise StoreTimeoutError after `timeout_s`
    seconds, by default the store's own.
    """

    def __init__(self, timeout_s: timedelta | float) -> None:
        self._timeout_s = in_seconds(timeout_s)

    @property
    def timeout_s(self) -> float:
        """The default time-out of blocking calls, in seconds."""
        return self._timeout_s

    @property
    def timeout(self) -> timedelta:
        """The default time-out of blocking calls."""
        return timedelta(seconds=self.timeout_s)

    def set_timeout(self, timeout_s: timedelta | float) -> None:
        """Change the default time-out, a timedelta or seconds, of all later blocking calls."""
        self._timeout_s = in_seconds(timeout_s)

    def has_extended_api(self) -> bool:
        """Whether there are append, multi_get and multi_set: True."""
        return True

    @abstractmethod
    def set(self, key: str, value: bytes | str) -> None:
        """Store `value` under `key`, replacing what was there."""

    @abstractmethod
    def append(self, key: str, value: bytes | str) -> None:
        """Put `value` behind what `key` holds, or store it if that is unset."""

    def multi_set(self, keys: Sequence[str], values: Sequence[bytes | str]) -> None:
        """Store one value under each key; raises DistStoreError unless they are equally many."""
        if len(keys) != len(values):
            raise DistStoreError("multiSet keys and values vectors must be of same size")
        for key, value in zip(keys, values, strict=True):
            self.set(key, value)

    @abstractmethod
    def multi_get(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of `keys`, waiting until all are set."""

    @abstractmethod
    def add(self, key: str, amount: int) -> int:
        """Add to the decimal number under `key` (0 if unset); returns the new number.

        Raises NotANumberError if the value under `key` is none, TypeError for an `amount` that is
        no integer of 64 bits.
        """

    @abstractmethod
    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set `key` to `desired` if it holds `expected`, or is unset and `expected` is empty.

        Returns the value held afterwards; for an unset key that did not match, `expected`.
        """

    @abstractmethod
    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all `keys` are set."""

    @abstractmethod
    def check(self, keys: Sequence[str]) -> bool:
        """Whether all `keys` are set now."""

    @abstractmethod
    def delete_key(self, key: str) -> bool:
        """Remove `key`; returns whether it was set."""

    @abstractmethod
    def num_keys(self) -> int:
        """How many keys are set."""

    @abstractmethod
    def list_keys(self) -> list[str]:
        """The keys that are set, in no particular order."""

    def queue_push(self, key: str, value: bytes | str) -> None:
        """Put `value` at the end of the queue `key`; NotImplementedError if there are no queues.

        Queues are not keys: `wait` and `check` take both, the other calls do not mix them.
        """
        raise NotImplementedError("queue support is not implemented.")

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the oldest value out of the queue `key`, waiting for one if `block`.

        Each value goes to one caller. Raises StoreTimeoutError after the store's time-out, or
        without `block` QueueEmptyError at once.
        """
        raise NotImplementedError("queue support is not implemented.")

    def queue_len(self, key: str) -> int:
        """How many values are in the queue `key`."""
        raise NotImplementedError("queue support is not implemented.")

    def barrier(
        self, key: str, world_size: int, timeout_s: timedelta | float | None = None
    ) -> None:
        """Return when `world_size` callers have come here with `key`, which serves only once.

        Raises StoreTimeoutError if they do not come within `timeout_s`.
        """
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        last = f"{key}/last_member"
        if self.add(f"{key}/num_members", 1) == world_size:
            self.set(last, "1")
        self.wait([last], deadline.remaining_s())

    def clone(self) -> Store:
        """Another handle of the same store, with a time-out of its own, for another thread."""
        return copy.copy(self)

    @abstractmethod
    def close(self) -> None:
        """Give back sockets and memory; the store cannot be used afterwards."""

    def get(self, key: str, timeout_s: timedelta | float | None = None) -> bytes:
        """The value of `key`, waiting until it is set."""
        return self.multi_get([key], timeout_s)[0]


def as_bytes(value: bytes | str) -> bytes:
    """A key or a value itself, or its UTF-8 encoding; raises TypeError for anything else."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    # Not whatever `bytes` takes: of a number it would make as many zeros.
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"a store holds str and bytes, got {type(value).__name__}")


def as_keys(keys: Sequence[bytes | str]) -> list[bytes]:
    """Several keys as bytes; raises TypeError as `check_keys`."""
    check_keys(keys)
    return [as_bytes(key) for key in keys]


def check_keys(keys: Sequence[bytes | str]) -> None:
    """Raise TypeError for one key where a list is needed: its letters would be taken for keys."""
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"a list of keys is needed, got {type(keys).__name__} {keys!r}")


def as_amount(amount: int) -> int:
    """What is to be added; raises TypeError unless it is an integer of 64 bits."""
    number = operator.index(amount)
    if not -(2**63) <= number < 2**63:
        raise TypeError(f"add takes integers of 64 bits, got {number}")
    return number


def as_text(key: bytes) -> str:
    """A key as it was given."""
    return key.decode(errors="replace")
