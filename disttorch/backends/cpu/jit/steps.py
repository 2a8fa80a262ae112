"""Optimiser steps in one pass over parameter, gradient and state.

A kernel is called by the name of the update it replaces: `Adam.update` is `adam` here. Slots that
a configuration has not got are None; Numba then compiles a kernel without them.
"""

from __future__ import annotations

import math
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


# Below: p, g and slots are flat arrays, everything else numbers of their dtype. No annotations:
# Numba infers the types.


def _gradient(p, g, decay, maximize):  # noqa: ANN001, ANN202 - compiled
    g = -g if maximize else g
    return g + p * decay if decay != 0 else g


def _sgd(p, g, buffer, decay, keep, maximize, lr, momentum, new, nesterov):  # noqa: ANN001, ANN202
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        w = p[i] * keep
        if buffer is not None:
            b = buffer[i] * momentum + d * new
            buffer[i] = b
            d = d + b * momentum if nesterov else b
        p[i] = w - d * lr


def _adam(p, g, m, v, highest, decay, keep, maximize, beta1, new1, beta2, new2, step, eps):  # noqa: ANN001, ANN202, E501
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        a = m[i] * beta1 + d * new1
        b = v[i] * beta2 + d * d * new2
        m[i] = a
        v[i] = b
        if highest is not None:
            b = max(highest[i], b)
            highest[i] = b
        p[i] = p[i] * keep - a / (math.sqrt(b) + eps) * step


def _rmsprop(p, g, square, buffer, mean, decay, keep, maximize, lr, alpha, new, eps, momentum):  # noqa: ANN001, ANN202, E501
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        s = square[i] * alpha + d * d * new
        square[i] = s
        if mean is not None:
            a = mean[i] * alpha + d * new
            mean[i] = a
            s = s - a * a
        d = d / (math.sqrt(s) + eps)
        if buffer is not None:
            d = buffer[i] * momentum + d
            buffer[i] = d
        p[i] = p[i] * keep - d * lr


def _adagrad(p, g, total, decay, keep, maximize, lr, eps):  # noqa: ANN001, ANN202
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        s = total[i] + d * d
        total[i] = s
        p[i] = p[i] * keep - d / (math.sqrt(s) + eps) * lr


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


_STEPS: dict[str, tuple[Callable[..., None], Callable[..., Arguments | None]]] = {
    "SGD.update": (_sgd, _sgd_arguments),
    "Adam.update": (_adam, _adam_arguments),
    "RMSprop.update": (_rmsprop, _rmsprop_arguments),
    "Adagrad.update": (_adagrad, _adagrad_arguments),
}


@cache
def _kernel(update: str) -> Callable[..., None]:
    # Not above: Numba is imported when the first kernel is wanted.
    from numba.extending import register_jitable  # noqa: PLC0415

    from disttorch.backends.cpu.jit.compiling import compiled  # noqa: PLC0415

    globals()["gradient"] = register_jitable(_gradient)
    return compiled(_STEPS[update][0], set())


def optimizer_step(update: str, flat: Sequence[Array], c: Any, before: Before | None) -> bool:
    """Do a whole step on flat arrays (parameter, gradient, slots) and return True.

    `update` names the NumPy formula, `c` is what it is given. False: the caller has to do it.
    """
    known = _STEPS.get(update)
    if known is None or flat[0].dtype.char not in "fd":
        return False
    arguments = known[1](flat[2:], c)
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
