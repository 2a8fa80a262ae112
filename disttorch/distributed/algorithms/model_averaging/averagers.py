"""Averaging a model every few steps, for training with local updates in between.

Ranks that average their models rarely instead of their gradients at each step send less
(Lin et al. 2018, https://arxiv.org/abs/1808.07217).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any

from disttorch.distributed.algorithms.model_averaging.parameters import (
    Parameters,
    average_parameters_or_parameter_groups,
)
from disttorch.distributed.world import resolve_group

__all__ = ["ModelAverager", "PeriodicModelAverager"]

_EVERY_STEP = (
    "no need to use model averaging because the communication cost of all-reducing parameters will "
    "be no less than the cost of all-reducing gradients by DistributedDataParallel in the backward "
    "pass. Therefore, only DistributedDataParallel should be used for this case."
)


def check_warmup(warmup_steps: int) -> int:
    """A number of steps; ValueError if it is negative."""
    if warmup_steps < 0:
        raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
    return warmup_steps


def warn_of_every_step(what: str) -> None:
    """Warn whoever averages at each step that this is no gain; `what` has been set to 1."""
    warnings.warn(f"When {what} is 1, {_EVERY_STEP}", stacklevel=3)


class ModelAverager(ABC):
    """Averages parameters over a group, by default all ranks; `step` counts its calls."""

    def __init__(self, process_group: Any = None) -> None:
        self.process_group = resolve_group(process_group)
        self.step = 0

    @abstractmethod
    def average_parameters(self, params: Parameters) -> None:
        """Average a model's parameters, or an optimiser's groups, if it is time to."""


class PeriodicModelAverager(ModelAverager):
    """Averages every `period` steps, from step `warmup_steps` on.

    Raises ValueError for a period below 1 or negative warm-up.
    """

    def __init__(self, period: int, warmup_steps: int = 0, process_group: Any = None) -> None:
        super().__init__(process_group)
        self.warmup_steps = check_warmup(warmup_steps)
        if period < 1:
            raise ValueError("Arg ``period`` must be a positive value.")
        if period == 1:
            warn_of_every_step("period")
        self.period = period

    def average_parameters(self, params: Parameters) -> None:
        """Average what has a gradient, if this call is one of every `period`; call it each step."""
        since = self.step - self.warmup_steps
        if since >= 0 and since % self.period == 0:
            average_parameters_or_parameter_groups(params, self.process_group)
        self.step += 1
