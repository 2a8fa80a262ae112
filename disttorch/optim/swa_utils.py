"""Averages of a model's parameters over training, and the schedule and statistics they need."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from disttorch.autograd.grad_mode import no_grad
from disttorch.dtype import int64
from disttorch.nn.modules.batchnorm import _BatchNorm
from disttorch.nn.modules.module import Module
from disttorch.ops.create import tensor
from disttorch.optim.lr_scheduler.base import _GET_LR, LRScheduler, Rate, per_group
from disttorch.optim.optimizer import Optimizer
from disttorch.tensor import Tensor

Tensors = Sequence[Tensor]
MultiAverage = Callable[[Tensors, Tensors, Any], None]
Average = Callable[[Tensor, Tensor, Any], Tensor]


def _mix(averaged: Tensor, current: Tensor, weight: Any) -> Tensor:
    """The average with `weight` of the current value in it."""
    if averaged.is_floating_point() or averaged.is_complex():
        return averaged.lerp(current, float(weight))
    return averaged * (1 - weight) + current * weight


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """Return a function that moves averages by ``1 - decay`` towards the current parameters."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Tensors, current_param_list: Tensors, _: Any) -> None:
        for average, current in zip(ema_param_list, current_param_list, strict=True):
            average.copy_(_mix(average, current, 1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """Return a function that updates equally weighted averages of `num_averaged` values."""

    @no_grad()
    def swa_update(
        averaged_param_list: Tensors, current_param_list: Tensors, num_averaged: Any
    ) -> None:
        for average, current in zip(averaged_param_list, current_param_list, strict=True):
            average.copy_(_mix(average, current, 1 / (num_averaged + 1)))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return a function (average, current, count) -> exponentially weighted average."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """Return a function (average, current, count) -> average with equal weights."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of that model's: `update_parameters`.

    Averages are equally weighted unless `avg_fn` (one parameter at a time) or `multi_avg_fn` (all
    at once) is given. With `use_buffers` buffers are averaged too, else copied.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def _averaged(self, model: Module) -> list[Tensor]:
        both = self.use_buffers
        found = chain(model.parameters(), model.buffers()) if both else model.parameters()
        return [t.detach() for t in found]

    def update_parameters(self, model: Module) -> None:
        """Take the current parameters of `model` into the averages; the first time copy them."""
        averages = self._averaged(self.module)
        pairs = zip(averages, self._averaged(model), strict=False)
        currents = [current.to(average.device) for average, current in pairs]
        if self.n_averaged == 0:
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)
        elif self.avg_fn is not None:
            for average, current in zip(averages, currents, strict=True):
                average.copy_(self.avg_fn(average, current, self.n_averaged))
        else:
            self._update_all(averages, currents)
        if not self.use_buffers:
            for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                mine.detach().copy_(theirs.detach().to(mine.device))
        self.n_averaged += 1

    def _update_all(self, averages: list[Tensor], currents: list[Tensor]) -> None:
        """Hand over all parameters of a device and dtype at once."""
        update = self.multi_avg_fn or get_swa_multi_avg_fn()
        alike: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
        for average, current in zip(averages, currents, strict=True):
            mine, theirs = alike.setdefault((average.device, average.dtype), ([], []))
            mine.append(average)
            theirs.append(current)
        for (device, _), (mine, theirs) in alike.items():
            update(mine, theirs, self.n_averaged.to(device))


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of `model`'s batch norms anew, in one pass over `loader`.

    Batches are tensors, or lists and tuples whose first element is the model's input.
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    for batch in loader:
        inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(inputs if device is None else inputs.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(was_training)


# strategy -> part of the way to the final rate, given the part of the epochs
_ANNEAL: dict[str, Callable[[float], float]] = {
    "cos": lambda t: (1 - math.cos(math.pi * t)) / 2,
    "linear": lambda t: t,
}


class SWALR(LRScheduler):
    """Go to `swa_lr` (a number, or one a group) in `anneal_epochs` epochs and stay there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        targets = per_group("swa_lr", optimizer, swa_lr)
        for target, group in zip(targets, optimizer.param_groups, strict=True):
            group["swa_lr"] = target
        if anneal_strategy not in _ANNEAL:
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    @property
    def anneal_func(self) -> Callable[[float], float]:
        """The part of the way after a part of the epochs, both within [0, 1]."""
        return _ANNEAL[self._anneal_strategy]

    def _part(self, step: int) -> float:
        return self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[Rate]:
        """Return the next rates: where the way began is inferred from where it is now."""
        if not self._get_lr_called_within_step:
            warnings.warn(_GET_LR, UserWarning, stacklevel=2)
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            end, start = group["swa_lr"], group["lr"]
            start = end if before == 1 else (start - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
