"""The sharing strategies of `torch.multiprocessing`: names here, since one way serves both."""

from __future__ import annotations

_STRATEGIES = ("file_descriptor", "file_system")
_chosen = [_STRATEGIES[0]]


def get_all_sharing_strategies() -> set[str]:
    """Return the strategies that `set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """Return the strategy that was chosen last."""
    return _chosen[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose a strategy; raises AssertionError for one that is not there.

    Shared tensors lie together in few files without names, so that neither the limit on open files
    nor names left behind are a reason to choose: both mean the same.
    """
    if new_strategy not in _STRATEGIES:
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of "
            f"{get_all_sharing_strategies()}"
        )
    _chosen[0] = new_strategy
