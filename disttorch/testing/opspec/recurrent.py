"""Rows of `ops/recurrent.py`: networks of several layers, packed sequences, single cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from disttorch.ops import recurrent
from disttorch.testing.opspec.spec import OpSpec, Sample, array, floats, sample

Step = Callable[..., tuple[np.ndarray, ...]]
_SKIP = {"0-d": "needs sequences of vectors"}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _projections(x: np.ndarray, h: np.ndarray, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    w_ih, w_hh, *biases = weights
    b_ih, b_hh = biases or (0, 0)
    return x @ w_ih.T + b_ih, h @ w_hh.T + b_hh


def _plain(activation: Any, x: np.ndarray, states: Any, weights: Any) -> tuple[np.ndarray, ...]:
    return (activation(sum(_projections(x, states[0], weights))),)


def _lstm(x: np.ndarray, states: Any, weights: Any) -> tuple[np.ndarray, ...]:
    i, f, g, o = np.split(sum(_projections(x, states[0], weights[:4])), 4, 1)
    c = _sigmoid(f) * states[1] + _sigmoid(i) * np.tanh(g)
    h = _sigmoid(o) * np.tanh(c)
    return (h @ weights[4].T if len(weights) > 4 else h), c


def _gru(x: np.ndarray, states: Any, weights: Any) -> tuple[np.ndarray, ...]:
    given, own = (np.split(p, 3, 1) for p in _projections(x, states[0], weights))
    r, z = (_sigmoid(a + b) for a, b in zip(given[:2], own[:2], strict=True))
    new = np.tanh(given[2] + r * own[2])
    return ((1 - z) * new + z * states[0],)


def _layer(step: Step, rows: Any, states: Any, weights: Any, reverse: bool) -> Any:
    """Run over the rows of each step; sequences that have ended keep their state."""
    outputs = [np.zeros(0)] * len(rows)
    order = range(len(rows))
    for t in reversed(order) if reverse else order:
        n = len(rows[t])
        made = step(rows[t], [s[:n] for s in states], weights)
        outputs[t] = made[0]
        states = [np.concatenate([new, s[n:]]) for new, s in zip(made, states, strict=True)]
    return outputs, states


def _network(step: Step, x: np.ndarray, *args: Any) -> tuple[np.ndarray, ...]:
    """Layers and directions one after the other, on padded or packed input."""
    sizes = None
    if isinstance(args[0], np.ndarray) and args[0].dtype.kind == "i":
        sizes, *args = [int(n) for n in args[0]], *args[1:]  # type: ignore[assignment]
    hx, params, _, n_layers, _, _, both, *first = args
    states = hx if isinstance(hx, (list, tuple)) else (hx,)
    directions = 2 if both else 1
    n = len(params) // (n_layers * directions)
    if sizes is None:
        rows = list(x.swapaxes(0, 1) if first[0] else x)
    else:
        rows = [x[end - size : end] for end, size in zip(accumulate(sizes), sizes, strict=True)]
    last: list[Any] = []
    for layer in range(n_layers):
        results = []
        for k in range(layer * directions, (layer + 1) * directions):
            weights = params[k * n : (k + 1) * n]
            result = _layer(step, rows, [s[k] for s in states], weights, k % directions == 1)
            results.append(result[0])
            last.append(result[1])
        rows = [np.concatenate(parts, 1) for parts in zip(*results, strict=True)]
    y = np.concatenate(rows) if sizes is not None else np.stack(rows, 1 if first[0] else 0)
    return y, *(np.stack(parts) for parts in zip(*last, strict=True))


def _cell(step: Step, x: np.ndarray, hx: Any, *weights: Any) -> Any:
    made = step(x, hx if isinstance(hx, (list, tuple)) else (hx,), weights)
    return made if len(made) > 1 else made[0]


def _weights(n_gates: int, n_in: int, hidden: int, bias: bool, projected: int = 0) -> list[Any]:
    out, gates = projected or hidden, n_gates * hidden
    shapes = [(gates, n_in), (gates, out)] + [(gates,)] * (2 * bias)
    shapes += [(projected, hidden)] if projected else []
    return [floats(*s, low=-1, high=1) for s in shapes]


def _states(n_states: int, k: int, n: int, hidden: int, projected: int = 0) -> Any:
    h = floats(k, n, projected or hidden)
    return h if n_states == 1 else (h, floats(k, n, hidden))


def _shallow(n_gates: int, n_states: int) -> tuple[Sample, ...]:
    """One layer; an empty batch."""
    one = _weights(n_gates, 1, 2, True)
    rest = (one, True, 1, 0.0, True, False, False)
    return (
        sample(floats(2, 1, 1), _states(n_states, 1, 1, 2), *rest),
        sample(floats(2, 0, 1), _states(n_states, 1, 0, 2), *rest),
    )


def _deep(n_gates: int, n_states: int) -> tuple[Sample, ...]:
    """Two layers both ways without biases, batch first; packed; an empty batch."""
    two = [w for n_in in (2, 2, 4, 4) for w in _weights(n_gates, n_in, 2, bias=False)]
    back = [w for _ in range(2) for w in _weights(n_gates, 2, 2, True)]
    packed = (floats(4, 2), array([2, 1, 1], "int64"))
    rest = (0.0, True, True)
    return (
        sample(floats(1, 2, 2), _states(n_states, 4, 1, 2), two, False, 2, *rest, True),
        sample(*packed, _states(n_states, 2, 2, 2), back, True, 1, *rest),
        sample(floats(0, 2, 2), _states(n_states, 4, 0, 2), two, False, 2, *rest, True),
    )


_PROJECTED = sample(
    *(floats(2, 1, 1), _states(2, 1, 1, 2, 1), _weights(4, 1, 2, True, 1)),
    *(True, 1, 0.0, True, False, False),
)
_NETWORKS: dict[str, tuple[Step, int, int]] = {
    "lstm": (_lstm, 4, 2),
    "gru": (_gru, 3, 1),
    "rnn_tanh": (partial(_plain, np.tanh), 1, 1),
    "rnn_relu": (partial(_plain, lambda x: np.maximum(x, 0)), 1, 1),
}


def _network_rows(name: str) -> tuple[OpSpec, OpSpec]:
    step, n_gates, n_states = _NETWORKS[name]
    extra = (_PROJECTED,) if n_states == 2 else ()
    ref = partial(_network, step)
    slow = {"gradgradcheck": "the row of one layer has it, and it takes long"}
    return (
        OpSpec(name, ref=ref, samples=(*_shallow(n_gates, n_states), *extra), skip=_SKIP),
        OpSpec(
            f"{name}_deep",
            op=getattr(recurrent, name),
            ref=ref,
            samples=_deep(n_gates, n_states),
            skip={**_SKIP, **slow},
        ),
    )


def _cell_row(name: str) -> OpSpec:
    step, n_gates, n_states = _NETWORKS[name]

    def cell(n: int, bias: bool) -> Sample:
        hx = floats(n, 2) if n_states == 1 else (floats(n, 2), floats(n, 2))
        return sample(floats(n, 1), hx, *_weights(n_gates, 1, 2, bias))

    samples = (cell(1, True), cell(1, False), cell(0, True))
    return OpSpec(f"{name}_cell", ref=partial(_cell, step), samples=samples, skip=_SKIP)


SPECS = (
    *(row for name in _NETWORKS for row in _network_rows(name)),
    *map(_cell_row, _NETWORKS),
)
