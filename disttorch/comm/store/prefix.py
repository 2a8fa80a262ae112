"""A part of another store under its own prefix, so that two users of one store cannot collide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from disttorch.comm.store.base import Store, as_bytes, check_keys


class PrefixStore(Store):
    """Every key becomes `prefix/key` in `store`; closing it leaves `store` open."""

    def __init__(self, prefix: str, store: Store) -> None:
        _check_types(prefix, store)
        self._prefix = prefix
        self._store = store
        self._owns_store = False

    @property
    def timeout_s(self) -> float:
        """The default time-out, which is that of the underlying store."""
        return self._store.timeout_s

    def set_timeout(self, timeout_s: timedelta | float) -> None:
        """Change the default time-out, also of the underlying store."""
        self._store.set_timeout(timeout_s)

    def clone(self) -> PrefixStore:
        """Another handle with a time-out of its own: the same prefix in a clone of the store."""
        twin = PrefixStore(self._prefix, self._store.clone())
        twin._owns_store = True
        return twin

    @property
    def underlying_store(self) -> Store:
        """The store that holds the keys."""
        return self._store

    def set(self, key: str, value: bytes | str) -> None:
        """Store `value` under the prefixed key."""
        self._store.set(self._name(key), value)

    def append(self, key: str, value: bytes | str) -> None:
        """Put `value` behind what the prefixed key holds."""
        self._store.append(self._name(key), value)

    def multi_get(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of the prefixed keys, waiting until all are set."""
        return self._store.multi_get(self._names(keys), self._limit(timeout_s))

    def add(self, key: str, amount: int) -> int:
        """Add to the number under the prefixed key."""
        return self._store.add(self._name(key), amount)

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set the prefixed key to `desired` if it holds `expected`."""
        return self._store.compare_set(self._name(key), expected, desired)

    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all prefixed keys are set."""
        self._store.wait(self._names(keys), self._limit(timeout_s))

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all prefixed keys are set now."""
        return self._store.check(self._names(keys))

    def delete_key(self, key: str) -> bool:
        """Remove the prefixed key; returns whether it was set."""
        return self._store.delete_key(self._name(key))

    def num_keys(self) -> int:
        """How many keys the underlying store holds, under any prefix."""
        return self._store.num_keys()

    def list_keys(self) -> list[str]:
        """The keys under the prefix, without it."""
        own = self._name("")
        return [key.removeprefix(own) for key in self._store.list_keys() if key.startswith(own)]

    def queue_push(self, key: str, value: bytes | str) -> None:
        """Put `value` at the end of the prefixed queue."""
        self._store.queue_push(self._name(key), value)

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the oldest value out of the prefixed queue, in the underlying store's time."""
        return self._store.queue_pop(self._name(key), block)

    def queue_len(self, key: str) -> int:
        """How many values are in the prefixed queue."""
        return self._store.queue_len(self._name(key))

    def close(self) -> None:
        """Leave the underlying store open for its other users, if this is no clone."""
        if self._owns_store:
            self._store.close()

    def _name(self, key: str) -> str:
        # Keys are text or bytes, and bytes need not be text; `as_bytes` takes the escape back.
        return f"{self._prefix}/{as_bytes(key).decode(errors='surrogateescape')}"

    def _names(self, keys: Sequence[str]) -> list[str]:
        check_keys(keys)
        return [self._name(key) for key in keys]

    def _limit(self, timeout_s: timedelta | float | None) -> timedelta | float:
        return self.timeout_s if timeout_s is None else timeout_s


def _check_types(prefix: object, store: object) -> None:
    if not isinstance(prefix, str) or not isinstance(store, Store):
        given = f"{type(prefix).__name__} and {type(store).__name__}"
        raise TypeError(f"PrefixStore takes a str and a Store, got {given}")
