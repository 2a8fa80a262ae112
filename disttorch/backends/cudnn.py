"""Switches of cuDNN that programs set: kept and told again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Return False: there is no CUDA back end yet."""
    return False


def version() -> None:
    """Return None: there is no cuDNN."""
    return None


@contextmanager
def flags(**values: object) -> Iterator[None]:
    """Set switches such as ``enabled=False`` while the block runs."""
    before = {name: globals()[name] for name in values if name in globals()}
    globals().update(values)
    try:
        yield
    finally:
        globals().update(before)
