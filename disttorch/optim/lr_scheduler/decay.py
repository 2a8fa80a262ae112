"""Schedules that follow a formula: steps, milestones, lines, powers, cosines."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from disttorch.optim.lr_scheduler.base import ClosedFormLR, PerGroupLR, Rate
from disttorch.optim.optimizer import Optimizer


class StepLR(ClosedFormLR):
    """Multiply by `gamma` every `step_size` epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Decay when an interval is full."""
        stays = self.last_epoch == 0 or self.last_epoch % self.step_size != 0
        return lr if stays else lr * self.gamma

    def closed_form(self, base_lr: Rate) -> Rate:
        """Decay once for each full interval."""
        return base_lr * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(ClosedFormLR):
    """Multiply by `gamma` at each of `milestones`."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Decay as often as this epoch is a milestone."""
        if self.last_epoch not in self.milestones:
            return lr
        return lr * self.gamma ** self.milestones[self.last_epoch]

    def closed_form(self, base_lr: Rate) -> Rate:
        """Decay once for each milestone passed."""
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return base_lr * self.gamma**passed


class ConstantLR(ClosedFormLR):
    """Multiply by `factor` during the first `total_iters` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if factor > 1 or factor < 0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Apply the factor at the start and take it back at the end."""
        if self.last_epoch == 0:
            return lr * self.factor
        return lr if self.last_epoch != self.total_iters else lr * (1 / self.factor)

    def closed_form(self, base_lr: Rate) -> Rate:
        """The factor, or 1 once it is over."""
        return base_lr * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(ClosedFormLR):
    """Multiply by a factor that goes linearly from `start_factor` to `end_factor`."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if start_factor > 1 or start_factor <= 0:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal "
                "to 1."
            )
        if end_factor > 1 or end_factor < 0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Multiply by the ratio of this epoch's factor to the last one's."""
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return lr * (1 + rise / before)

    def closed_form(self, base_lr: Rate) -> Rate:
        """The factor of this epoch."""
        done = min(self.total_iters, self.last_epoch)
        rise = (self.end_factor - self.start_factor) * done / self.total_iters
        return base_lr * (self.start_factor + rise)


class ExponentialLR(ClosedFormLR):
    """Multiply by `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Decay, except at the start."""
        return lr if self._is_initial else lr * self.gamma

    def closed_form(self, base_lr: Rate) -> Rate:
        """Decay once an epoch."""
        return base_lr * self.gamma**self.last_epoch


class PolynomialLR(ClosedFormLR):
    """Go to zero in `total_iters` epochs as a polynomial of degree `power`."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Multiply by the ratio of what is left now to what was left before."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        left = 1 - self.last_epoch / self.total_iters
        before = 1 - (self.last_epoch - 1) / self.total_iters
        return lr * (left / before) ** self.power

    def closed_form(self, base_lr: Rate) -> Rate:
        """What is left of the way, to the power."""
        done = min(self.total_iters, self.last_epoch)
        return base_lr * (1 - done / self.total_iters) ** self.power


class CosineAnnealingLR(ClosedFormLR):
    """Go from the initial rate to `eta_min` in `T_max` epochs along half a cosine, and back."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Scale the distance to `eta_min` by the ratio of two cosines."""
        epoch, half, lowest = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return lr
        if self._step_count == 1 and epoch > 0:
            return self.closed_form(base_lr)
        if (epoch - 1 - half) % (2 * half) == 0:  # the cosine before is -1: no ratio
            return lr + (base_lr - lowest) * (1 - math.cos(math.pi / half)) / 2
        now = 1 + math.cos(math.pi * epoch / half)
        before = 1 + math.cos(math.pi * (epoch - 1) / half)
        return now / before * (lr - lowest) + lowest

    def closed_form(self, base_lr: Rate) -> Rate:
        """The cosine itself."""
        height = (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max))
        return self.eta_min + height / 2


class CosineAnnealingWarmRestarts(PerGroupLR):
    """Half a cosine down to `eta_min` in `T_0` epochs, then again, each time `T_mult` as long.

    `step(epoch)` takes fractions, to be called once a batch.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """The cosine at the current place of the current cycle."""
        height = (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i))
        return self.eta_min + height / 2

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._find_cycle(epoch)
        self.last_epoch = math.floor(epoch)
        with self._within_step():
            values = self.get_lr()
        self._set_rates(values)

    def _find_cycle(self, epoch: float) -> None:
        """Set the length of the cycle that holds `epoch`, and the place in it."""
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            ratio = self.T_mult
            n = int(math.log(epoch / self.T_0 * (ratio - 1) + 1, ratio))
            self.T_cur = epoch - self.T_0 * (ratio**n - 1) / (ratio - 1)
            self.T_i = self.T_0 * ratio**n


__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]
