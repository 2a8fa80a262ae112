"""`LRScheduler`: sets the learning rates of an optimiser's groups as epochs (or steps) go by."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from disttorch.optim.optimizer import Optimizer
from disttorch.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

Rate = Any  # a number, or a 0-d Tensor that is then written in place

_STEP_ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, "
    "you should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  "
    "Failure to do this will result in PyTorch skipping the first value of the learning rate "
    "schedule. See more details at "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)
_OVERRIDDEN = (
    "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
    "initialization. Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. "
    "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)
_EPOCH = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler. During the deprecation, if "
    "epoch is different from None, the closed form is used instead of the new chainable form, "
    "where available. Please open an issue if you are unable to replicate your use case: "
    "https://github.com/pytorch/pytorch/issues/new/choose."
)
_GET_LR = "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
_NO_INITIAL_LR = (
    "param 'initial_lr' is not specified in param_groups[{}] when resuming scheduler with "
    "last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume training from a "
    "checkpoint but haven't properly loaded the optimizer state\n2. You're using last_epoch >= 0 "
    "for a fresh training run (not recommended)"
)


def warn_epoch() -> None:
    """Warn that `step(epoch)` is on its way out."""
    warnings.warn(_EPOCH, UserWarning, stacklevel=3)


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError for what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def set_rate(group: dict[str, Any], rate: Rate, key: str = "lr") -> None:
    """Set a group's learning rate; one that is a Tensor is written in place."""
    if isinstance(group[key], Tensor):
        group[key]._array[...] = float(rate)
    else:
        group[key] = rate


def rates(optimizer: Optimizer, key: str = "lr") -> list[Rate]:
    """Return the learning rates of all groups, Tensors as copies."""
    values = [group[key] for group in optimizer.param_groups]
    return [Tensor._wrap(v._array.copy()) if isinstance(v, Tensor) else v for v in values]


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """Return one value a group: those given, or the same for all; ValueError for a wrong number."""
    n = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} "
            f"values, param_groups has {n}."
        )
    return list(value)


class LRScheduler:
    """Base of schedulers: subclasses define `get_lr`, which gives the rates of `last_epoch`.

    `step()` is called once an epoch (or a batch), after `optimizer.step()`. With ``last_epoch=-1``
    the groups' rates become their "initial_lr"; otherwise a schedule is resumed there.
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _last_lr: list[Rate]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                copied = Tensor._wrap(lr._array.copy()) if isinstance(lr, Tensor) else lr
                group.setdefault("initial_lr", copied)
            elif "initial_lr" not in group:
                raise KeyError(_NO_INITIAL_LR.format(i))
        self.base_lrs = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        # The first scheduler of an optimiser notes from where its steps count.
        optimizer.__dict__.setdefault("_n_steps_unscheduled", optimizer._n_steps)
        optimizer.__dict__.setdefault("_scheduled_step", unwrap(optimizer.step))
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`; subclasses define it, `step` calls it."""
        raise NotImplementedError

    def get_last_lr(self) -> list[Rate]:
        """Return the rates that were set last, one a group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch; `epoch` to jump to one is deprecated."""
        if self._step_count == 1:
            self._warn_if_first()
        self._step_count += 1
        if epoch is not None:
            warn_epoch()
        self._update_lr(epoch)

    def _warn_if_first(self) -> None:
        optimizer = self.optimizer
        scheduled = optimizer.__dict__.get("_scheduled_step")
        if scheduled is not None and unwrap(optimizer.step) is not scheduled:
            warnings.warn(_OVERRIDDEN, UserWarning, stacklevel=3)
        elif optimizer._n_steps == optimizer.__dict__.get("_n_steps_unscheduled"):
            warnings.warn(_STEP_ORDER, UserWarning, stacklevel=3)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go to the next epoch or to `epoch`, and set its rates."""
        with self._within_step():
            closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            values = self.get_lr() if closed is None else closed()
        self._set_rates(values)

    def _set_rates(self, values: list[Rate]) -> None:
        for group, rate in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, rate)
        self._last_lr = rates(self.optimizer)

    @contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _check_within_step(self) -> None:
        """Warn users who call `get_lr` to read the rate: it computes the next one."""
        if not self._get_lr_called_within_step:
            warnings.warn(_GET_LR, UserWarning, stacklevel=3)

    def state_dict(self) -> dict[str, Any]:
        """Return all attributes but the optimiser."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.__dict__.update(state_dict)


class PerGroupLR(LRScheduler):
    """A schedule given by how one rate goes on: subclasses define `next_lr`, maybe `closed_form`.

    Rates are computed from the groups' current ones where PyTorch does so, which lets schedules be
    chained and gives the same numbers to the last bit.
    """

    def next_lr(self, lr: Rate, base_lr: Rate) -> Rate:
        """Return the rate of `last_epoch`, given the current and the initial one."""
        raise NotImplementedError

    def get_lr(self) -> list[Rate]:
        """Return the rates of `last_epoch`."""
        self._check_within_step()
        pairs = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        return [self.next_lr(group["lr"], base_lr) for group, base_lr in pairs]


class ClosedFormLR(PerGroupLR):
    """A schedule whose rate can also be told from the initial one alone."""

    def closed_form(self, base_lr: Rate) -> Rate:
        """Return the rate of `last_epoch`, given the initial one."""
        raise NotImplementedError

    def _get_closed_form_lr(self) -> list[Rate]:
        return [self.closed_form(base_lr) for base_lr in self.base_lrs]


def state_of_function(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """Return the attributes of a callable object; functions have no state to save."""
    if function is None or isinstance(function, type(state_of_function)):
        return None
    return dict(function.__dict__)
