"""Training with uneven inputs: ranks without data shadow the collectives of those that have some.

Each object that communicates once a step, a `Joinable`, brings a `JoinHook` that takes part in its
collectives without data. Before each step of the first of them, the ranks with data count
themselves; a rank that has left its loop goes on with hooks until the count is zero
(https://docs.pytorch.org/docs/stable/distributed.algorithms.join.html).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from disttorch import distributed

_MANY_STEPS = 1000


class JoinHook:
    """What one `Joinable` does on a rank without data."""

    def main_hook(self) -> None:
        """Shadow the collectives of one step of the other ranks."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """Finish, when all ranks have joined; `is_last_joiner`: this rank had data till the end."""


@dataclass
class _JoinConfig:
    """How a `Joinable` takes part in the context that it is in."""

    enable: bool
    throw_on_early_termination: bool
    is_first_joinable: bool
    divide_by_initial_world_size: bool = True

    @staticmethod
    def construct_disabled_join_config() -> _JoinConfig:
        """Return that of an object outside of any context."""
        return _JoinConfig(False, False, False)


class Joinable(ABC):
    """An object with collectives in each step, which `Join` can shadow."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._join_config = _JoinConfig.construct_disabled_join_config()

    @abstractmethod
    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Return the hook for a context that was given `kwargs`."""

    @property
    @abstractmethod
    def join_device(self) -> Any:
        """The device of the collectives for joining."""

    @property
    @abstractmethod
    def join_process_group(self) -> Any:
        """The ranks that join."""


class Join:
    """Context around a training loop in which ranks may have different numbers of batches.

    `joinables` must communicate in the order given, each once a step. `kwargs` go to their hooks.
    With `throw_on_early_termination` all ranks raise RuntimeError once one has run out of data;
    with ``enable=False`` nothing is done. Raises ValueError for no joinables or unequal groups.
    """

    def __init__(
        self,
        joinables: Sequence[Joinable],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        if len(joinables) == 0:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables = list(joinables)
        self._hooks = [joinable.join_hook(**kwargs) for joinable in joinables]
        self._enable = enable
        self._throw = throw_on_early_termination
        groups = {id(joinable.join_process_group) for joinable in joinables}
        if len(groups) > 1:
            raise ValueError("Using join context manager with multiple process groups")
        self._group = distributed.resolve_group(joinables[0].join_process_group)
        for i, joinable in enumerate(joinables):
            config = joinable._join_config
            config.enable, config.is_first_joinable = enable, i == 0
            config.throw_on_early_termination = throw_on_early_termination

    def __enter__(self) -> Join:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shadow the ranks that still have data; nothing if the loop ended with an error."""
        if not self._enable or type is not None:
            self._disable()
            return
        is_last_joiner, n_steps = True, 0
        while _count(self._group, 0):
            if self._throw:
                _count(self._group, 1)
                self._disable()
                raise RuntimeError(f"Rank {self._group.rank} exhausted all inputs.")
            is_last_joiner = False
            for hook in self._hooks:
                hook.main_hook()
            n_steps += 1
            if n_steps == _MANY_STEPS:
                warnings.warn(
                    "Detected uneven input skew of greater than 1000. This means that rank "
                    f"{self._group.rank} has at least 1000 fewer inputs than other "
                    "currently-active ranks. This level of skew could lead to performance "
                    "degradation during training.",
                    stacklevel=2,
                )
        for hook in self._hooks:
            hook.post_hook(is_last_joiner)
        self._disable()

    def _disable(self) -> None:
        for joinable in self._joinables:
            joinable._join_config.enable = False

    @staticmethod
    def notify_join_context(joinable: Joinable) -> int | None:
        """Count the ranks with data; called by a joinable before the collectives of its step.

        Returns their number, or None from all but the first joinable of a context. Raises
        AssertionError if `joinable` did not run ``Joinable.__init__``, RuntimeError if a rank has
        run out of data and the context is to end then.
        """
        if not hasattr(joinable, "_join_config"):
            raise AssertionError(
                f"Check that the {type(joinable)} constructor calls the ``Joinable`` constructor"
            )
        config = joinable._join_config
        if not config.is_first_joinable or not config.enable:
            return None
        group = distributed.resolve_group(joinable.join_process_group)
        n_active = _count(group, 1)
        if config.throw_on_early_termination and n_active < group.size:
            _count(group, 0)
            raise RuntimeError(
                "Detected at least one rank that exhausted inputs. Throwing across all ranks."
            )
        return n_active


def _count(group: Any, own: int) -> int:
    """The sum over the ranks of zeros and ones."""
    total = np.array([own], np.int64)
    group.all_reduce(total)
    return int(total[0])
