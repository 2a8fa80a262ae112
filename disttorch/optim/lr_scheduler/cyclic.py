"""Schedules of rate and momentum within cycles: CyclicLR, OneCycleLR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from disttorch.optim.lr_scheduler.base import (
    LRScheduler,
    Rate,
    check_optimizer,
    per_group,
    set_rate,
    state_of_function,
)
from disttorch.optim.optimizer import Optimizer


class _MomentumCycle(LRScheduler):
    """Part of both: moving a group's momentum (or first beta) opposite to its rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _start_momentum(self, base_momentum: Any, max_momentum: Any, last_epoch: int) -> None:
        """Note the range in the groups and start at its top; ValueError without momentum."""
        optimizer = self.optimizer
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        lowest = per_group("base_momentum", optimizer, base_momentum)
        highest = per_group("max_momentum", optimizer, max_momentum)
        self._momentum_range = (lowest, highest)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, lowest, highest, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


# How the height of a cycle changes: by mode, (gamma, cycle or iteration) -> factor.
_SCALES: dict[str, Callable[[float, float], float]] = {
    "triangular": lambda gamma, x: 1.0,
    "triangular2": lambda gamma, x: 1 / 2.0 ** (x - 1),
    "exp_range": lambda gamma, x: gamma**x,
}


class CyclicLR(_MomentumCycle):
    """Go up from `base_lr` to `max_lr` and down again, once a cycle, stepping once a batch.

    `mode` ("triangular", "triangular2", "exp_range") or `scale_fn` says how the height changes.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_rate(group, lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in _SCALES and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch)
            self.base_momentums, self.max_momentums = self._momentum_range
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """Return the height of cycle (or at iteration) `x`, 1 for the full range."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return _SCALES[self.mode](self.gamma, x)

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`, and set the momentums."""
        self._check_within_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ranges = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ranges, strict=True):
                self._set_momentum(group, high - (high - low) * height * scale)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [base_lr + (max_lr - base_lr) * height * scale for base_lr, max_lr in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes; of `scale_fn` only what a callable object holds."""
        state = {key: v for key, v in super().state_dict().items() if key != "_momentum_range"}
        return {**state, "_scale_fn_custom": state_of_function(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; `scale_fn` stays the one given to this object."""
        rest = {key: value for key, value in state_dict.items() if key != "_scale_fn_custom"}
        super().load_state_dict(rest)
        held = state_dict.get("_scale_fn_custom")
        if held is not None:
            self._scale_fn_custom.__dict__.update(held)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


_ANNEALERS = {"cos": _cosine, "linear": _line}


def _phase(end_step: float, rate: tuple[str, str], momentum: tuple[str, str]) -> dict[str, Any]:
    """A stretch of the one cycle: until when, and between which settings of a group."""
    return {
        "end_step": end_step,
        "start_lr": rate[0],
        "end_lr": rate[1],
        "start_momentum": momentum[0],
        "end_momentum": momentum[1],
    }


class OneCycleLR(_MomentumCycle):
    """One cycle: up to `max_lr`, then down far below the initial rate; one step a batch.

    The length is `total_steps`, or `epochs` times `steps_per_epoch`; `pct_start` of it goes up.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or pct_start < 0 or pct_start > 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in _ANNEALERS:
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._schedule_phases = self._phases(float(pct_start * self.total_steps), three_phase)
        self._anneal_func_type = anneal_strategy
        if last_epoch == -1:
            max_lrs = per_group("max_lr", optimizer, max_lr)
            for group, highest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch)
            del self._momentum_range
        super().__init__(optimizer, last_epoch)

    def _phases(self, up: float, three_phase: bool) -> list[dict[str, Any]]:
        high, low = ("max_momentum", "base_momentum")
        last = self.total_steps - 1
        rise = _phase(up - 1, ("initial_lr", "max_lr"), (high, low))
        if not three_phase:
            return [rise, _phase(last, ("max_lr", "min_lr"), (low, high))]
        fall = _phase(2 * up - 2, ("max_lr", "initial_lr"), (low, high))
        return [rise, fall, _phase(last, ("initial_lr", "min_lr"), (high, high))]

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`, and set the momentums; ValueError past the end."""
        self._check_within_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        ends = [0.0, *(phase["end_step"] for phase in self._schedule_phases)]
        i = next((i for i, end in enumerate(ends[1:-1]) if step <= end), len(ends) - 2)
        phase, start, end = self._schedule_phases[i], ends[i], ends[i + 1]
        part = (step - start) / (end - start)
        anneal = _ANNEALERS[self._anneal_func_type]
        new = []
        for group in self.optimizer.param_groups:
            new.append(anneal(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends_of_momentum = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, anneal(*ends_of_momentum, part))
        return new


def _total_steps(total: int | None, epochs: int | None, per_epoch: int | None) -> int:
    """Return the number of steps of the cycle; ValueError unless it is given one way."""
    if total is not None:
        return _positive("total_steps", total)
    if epochs is None or per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    return _positive("epochs", epochs) * _positive("steps_per_epoch", per_epoch)


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value
