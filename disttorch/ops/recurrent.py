"""Recurrent networks of several layers and directions: LSTM, GRU, plain; and single cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from disttorch.autograd.op import Op, public
from disttorch.backends.precision import is_short
from disttorch.dtype import float32
from disttorch.ops.cast import cast
from disttorch.ops.dropout import dropout as drop
from disttorch.ops.join import cat, stack
from disttorch.ops.recurrent_gru import GruLayer, gru_cell_step
from disttorch.ops.recurrent_lstm import LstmLayer, lstm_cell_step
from disttorch.ops.recurrent_plain import RnnLayer, rnn_cell_step
from disttorch.ops.recurrent_steps import Sizes
from disttorch.tensor import Tensor

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

Layer = Callable[..., tuple[Tensor, ...]]


class _Network(NamedTuple):
    layer: Layer  # runs one layer in one direction
    n_states: int


def _grouped(params: Sequence[Tensor], has_biases: bool, n_groups: int) -> list[list[Any]]:
    """Sort flat weights by layer and direction: [w_ih, w_hh, b_ih, b_hh, projection or None]."""
    n = len(params) // n_groups if n_groups else 0
    if n < 2 + 2 * has_biases or len(params) != n * n_groups:
        raise RuntimeError("got an incorrect number of RNN parameters")
    groups = []
    for k in range(0, len(params), n):
        weights = list(params[k : k + n])
        biases = weights[2:4] if has_biases else [None, None]
        groups.append([*weights[:2], *biases, *weights[2 + 2 * has_biases :], None][:5])
    return groups


def _run(
    layer: Layer,
    data: Tensor,
    sizes: Sizes,
    states: Sequence[Tensor],
    groups: Sequence[Any],
    dropout: float,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """Run all layers on data (rows, I): outputs (rows, D * H), then each state (L * D, N, H)."""
    n_directions = 2 if bidirectional else 1
    last: list[list[Tensor]] = [[] for _ in states]
    for first in range(0, len(groups), n_directions):
        outputs = []
        for direction in range(n_directions):
            k = first + direction
            y, *final = layer(
                data, [s[k] for s in states], groups[k], sizes=sizes, reverse=direction == 1
            )
            outputs.append(y)
            for kept, state in zip(last, final, strict=True):
                kept.append(state)
        data = outputs[0] if len(outputs) == 1 else cat(outputs, 1)
        if dropout and first + n_directions < len(groups):
            data = drop(data, dropout, True)
    return data, *(stack(kept) for kept in last)


def _applied(op: type[Op], x: Tensor, *others: Tensor | None, **how: Any) -> Any:
    """Apply a layer's node; 16-bit floats go through all steps in float32 and are rounded last."""
    if not is_short(x._array):
        return op.apply(x, *others, **how)
    operands = (None if t is None else cast(t, float32) for t in (x, *others))
    return tuple(cast(y, x.dtype) for y in op.apply(*operands, **how))


def _lstm_layer(x: Tensor, states: Any, weights: Any, **how: Any) -> Any:
    return _applied(LstmLayer, x, *states, *weights, **how)


def _gru_layer(x: Tensor, states: Any, weights: Any, **how: Any) -> Any:
    return _applied(GruLayer, x, *states, *weights[:4], **how)


def _rnn_layer(rectified: bool, x: Tensor, states: Any, weights: Any, **how: Any) -> Any:
    return _applied(RnnLayer, x, *states, *weights[:4], rectified=rectified, **how)


def _padded(
    network: _Network,
    input: Tensor,
    hx: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Run on input (T, N, I), or (N, T, I) if `batch_first`: sequences of one length."""
    steps_first = input.transpose(0, 1) if batch_first else input
    n_steps, n, depth = steps_first.shape
    if not n_steps:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    data = steps_first.reshape(n_steps * n, depth)
    settings = (has_biases, num_layers, dropout, train, bidirectional)
    y, *states = _packed(network, data, (n,) * n_steps, hx, params, *settings)
    y = y.reshape(n_steps, n, y.shape[1])
    return (y.transpose(0, 1) if batch_first else y), *states


def _packed(
    network: _Network,
    data: Tensor,
    batch_sizes: Any,
    hx: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """Run on data (rows, I), of which step t has ``batch_sizes[t]``."""
    sizes = tuple(int(n) for n in batch_sizes)
    groups = _grouped(params, has_biases, num_layers * (2 if bidirectional else 1))
    states = (hx,) if network.n_states == 1 else tuple(hx)
    rate = dropout if train else 0.0
    return _run(network.layer, data, sizes, states, groups, rate, bidirectional)


def _network(name: str, layer: Layer, n_states: int) -> Callable[..., tuple[Tensor, ...]]:
    """Make ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``."""
    kind = _Network(layer, n_states)

    def network(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        second = args[0] if args else None
        packed = "batch_sizes" in kwargs
        packed = packed or (isinstance(second, Tensor) and second.dtype.name == "int64")
        return (_packed if packed else _padded)(kind, input, *args, **kwargs)

    network.__name__ = network.__qualname__ = name
    states = "(h, c)" if n_states == 2 else "h"
    network.__doc__ = (
        f"Recurrent network: (input, {states}, params, has_biases, num_layers, dropout, train, "
        f"bidirectional, batch_first) -> outputs (T, N, D * H) and the last {states}.\n\n"
        f"`input` is (T, N, I), each state (L * D, N, H). Packed sequences: (data, batch_sizes, "
        f"{states}, ...) without `batch_first`. RuntimeError for a wrong number of parameters."
    )
    return public()(network)


lstm = _network("lstm", _lstm_layer, 2)
gru = _network("gru", _gru_layer, 1)
rnn_tanh = _network("rnn_tanh", partial(_rnn_layer, False), 1)
rnn_relu = _network("rnn_relu", partial(_rnn_layer, True), 1)


def _check_cell(input: Tensor, states: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor) -> None:
    """RuntimeError with PyTorch's texts unless the sizes of a cell's operands fit."""
    if input.shape[-1] != w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[-1]} expected {w_ih.shape[1]}"
        )
    for i, state in enumerate(states):
        if input.shape[0] != state.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{i} batch size "
                f"{state.shape[0]}"
            )
        if state.shape[-1] != w_hh.shape[1]:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {state.shape[-1]}, expected "
                f"{w_hh.shape[1]}"
            )


@public()
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One LSTM step: input (N, I), hx = (h, c), each (N, H) -> the next h and c.

    RuntimeError for sizes that do not fit.
    """
    _check_cell(input, hx, w_ih, w_hh)
    return lstm_cell_step(input, *hx, w_ih, w_hh, b_ih, b_hh)


def _cell(name: str, step: Callable[..., Tensor], what: str) -> Callable[..., Tensor]:
    """Make the cell of a network with one state."""

    def cell(
        input: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        _check_cell(input, (hx,), w_ih, w_hh)
        return step(input, hx, w_ih, w_hh, b_ih, b_hh)

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = (
        f"One {what} step: input (N, I), hx (N, H) -> the next hx.\n\nRuntimeError for sizes that "
        "do not fit."
    )
    return public()(cell)


gru_cell = _cell("gru_cell", gru_cell_step, "GRU")
rnn_tanh_cell = _cell("rnn_tanh_cell", partial(rnn_cell_step, rectified=False), "tanh RNN")
rnn_relu_cell = _cell("rnn_relu_cell", partial(rnn_cell_step, rectified=True), "ReLU RNN")
