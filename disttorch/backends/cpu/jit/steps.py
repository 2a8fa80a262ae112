"""Optimiser steps in one pass over parameter, gradient and state, by `step_kernels`.

`Adam.update` is `adam` there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from disttorch.backends.cpu.jit.switch import pays
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

_PIECE = 1 << 16  # elements that a thread takes at a time


class Before(NamedTuple):
    """What is done to the gradient, and with decoupled decay to the parameter, before a step."""

    decay: float = 0.0  # added to the gradient, times the parameter
    keep: float = 1.0  # times the parameter
    maximize: bool = False


# ---- from an update's arguments to a kernel's ---------------------------------------------------

Arguments = tuple[Sequence[Array | None], Sequence[float | bool]]


def _sgd_arguments(slots: Sequence[Array], c: Any) -> Arguments | None:
    lr, momentum, new, nesterov = c
    if new is None:
        return None
    return [slots[0] if slots else None], [lr, momentum, new, bool(nesterov)]


def _adam_arguments(slots: Sequence[Array], c: Any) -> Arguments:
    beta1, beta2, step, eps = c
    m, v, *highest = slots
    return [m, v, *(highest or [None])], [beta1, 1 - beta1, beta2, 1 - beta2, step, eps]


def _rmsprop_arguments(slots: Sequence[Array], c: Any) -> Arguments:
    lr, alpha, eps, momentum, centered = c
    arrays = [slots[0], slots[1] if momentum > 0 else None, slots[-1] if centered else None]
    return arrays, [lr, alpha, 1 - alpha, eps, momentum]


def _adagrad_arguments(slots: Sequence[Array], c: Any) -> Arguments:
    return list(slots), list(c)


_ARGUMENTS: dict[str, Callable[..., Arguments | None]] = {
    "SGD.update": _sgd_arguments,
    "Adam.update": _adam_arguments,
    "RMSprop.update": _rmsprop_arguments,
    "Adagrad.update": _adagrad_arguments,
}


@cache
def _kernel(update: str) -> Callable[..., None]:
    from disttorch.backends.cpu.jit import step_kernels  # noqa: PLC0415 - imports Numba

    kernel: Callable[..., None] = getattr(step_kernels, update.partition(".")[0].lower())
    return kernel


def optimizer_step(update: str, flat: Sequence[Array], c: Any, before: Before | None) -> bool:
    """Do a whole step on flat arrays (parameter, gradient, slots) and return True.

    `update` names the NumPy formula, `c` is what it is given. False: the caller has to do it.
    """
    arguments_of = _ARGUMENTS.get(update)
    if arguments_of is None or flat[0].dtype.char not in "fd":
        return False
    arguments = arguments_of(flat[2:], c)
    if arguments is None or not pays(update, flat[0].size):
        return False
    kernel, number = _kernel(update), flat[0].dtype.type
    decay, keep, maximize = before or Before()
    slots, settings = arguments
    numbers = [number(decay), number(keep), maximize]
    numbers += [v if isinstance(v, bool) else number(v) for v in settings]
    arrays = [flat[0], flat[1], *slots]
    n = flat[0].size
    if n <= _PIECE or get_num_threads() < 2:
        kernel(*arrays, *numbers)
        return True

    def work(i: int) -> None:
        part = slice(i * _PIECE, (i + 1) * _PIECE)
        kernel(*[None if a is None else a[part] for a in arrays], *numbers)

    run_pieces(work, -(-n // _PIECE))
    return True
