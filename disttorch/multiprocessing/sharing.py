"""The sharing strategies of `torch.multiprocessing`, of which there is one here."""

from __future__ import annotations

_STRATEGY = "file_system"


def get_all_sharing_strategies() -> set[str]:
    """Return the strategies that `set_sharing_strategy` takes."""
    return {_STRATEGY}


def get_sharing_strategy() -> str:
    """Return the current strategy."""
    return _STRATEGY


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose a strategy; raises AssertionError for one that is not there."""
    assert new_strategy in get_all_sharing_strategies()
