"""Schedules given by users' functions of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.optim.lr_scheduler.base import LRScheduler, Rate, rates, state_of_function
from disttorch.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _FunctionLR(LRScheduler):
    """A function of the epoch for each group, or one for all."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        self.optimizer = optimizer
        n = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * n
        if len(given) != n:
            raise ValueError(f"Expected {n} lr_lambdas, but got {len(given)}")
        self.lr_lambdas: list[Any] = given
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes; of the functions only what callable objects hold."""
        functions = [state_of_function(f) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": functions}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; functions stay those given to this object."""
        rest = {key: value for key, value in state_dict.items() if key != "lr_lambdas"}
        super().load_state_dict(rest)
        for function, state in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if state is not None:
                function.__dict__.update(state)


class LambdaLR(_FunctionLR):
    """The initial rate times ``lr_lambda(epoch)``."""

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`."""
        self._check_within_step()
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * factor(self.last_epoch) for base_lr, factor in pairs]


class MultiplicativeLR(_FunctionLR):
    """The last rate times ``lr_lambda(epoch)``."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        for function in lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]:
            if not callable(function):
                raise TypeError(
                    f"lr_lambda should be a function, but got {type(function).__name__}"
                )
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`."""
        self._check_within_step()
        current = rates(self.optimizer)
        if self._is_initial:
            return current
        pairs = zip(current, self.lr_lambdas, strict=True)
        return [lr * factor(self.last_epoch) for lr, factor in pairs]
