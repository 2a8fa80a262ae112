"""Steps that all ranks take together: all of them end well, or all raise."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from disttorch import distributed

T = TypeVar("T")


class CheckpointException(RuntimeError):
    """A step of saving or loading failed; `failures` has each failed rank's error and traceback."""

    def __init__(self, msg: str, failures: Mapping[int, tuple[BaseException, str]]) -> None:
        ranks = ", ".join(map(str, failures))
        lines = [f"{msg} failed on rank {ranks}"]
        lines += [f"rank {rank}: {text}" for rank, (_, text) in failures.items()]
        super().__init__("\n".join(lines))
        self._what, self._failures = msg, dict(failures)

    def __reduce__(self) -> Any:
        return type(self), (self._what, self._failures)

    @property
    def failures(self) -> dict[int, tuple[BaseException, str]]:
        """The error and the traceback of each rank that failed."""
        return self._failures


class Together:
    """The ranks of a group; without one, or before there is any, this process alone."""

    def __init__(self, process_group: Any = None, no_dist: bool = False) -> None:
        alone = no_dist or not (process_group or distributed.is_initialized())
        self.group = None if alone else distributed.resolve_group(process_group)
        self.rank = 0 if self.group is None else int(self.group.rank)
        self.size = 1 if self.group is None else int(self.group.size)

    def step(self, what: str, work: Callable[[], T]) -> list[T]:
        """The results of all ranks; CheckpointException on all of them if `work` raised on any."""
        result, error, text = None, None, ""
        try:
            result = work()
        except Exception as caught:  # told to all ranks, which raise together
            error, text = _portable(caught), "".join(traceback.format_exception(caught))
        own = (result, error, text)
        every = [own] if self.group is None else self.group.all_gather_object(own)
        failures = {rank: (e, t) for rank, (_, e, t) in enumerate(every) if e is not None}
        if failures:
            raise CheckpointException(what, failures) from next(iter(failures.values()))[0]
        return [each for each, _, _ in every]


def _portable(error: Exception) -> Exception:
    """An error that can be sent to other ranks."""
    plain = type(error).__module__ == "builtins" and all(
        isinstance(a, (str, int, type(None))) for a in error.args
    )
    return error if plain else RuntimeError(f"{type(error).__name__}: {error}")
