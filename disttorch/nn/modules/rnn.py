"""Recurrent networks: RNN, LSTM, GRU, over whole sequences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from disttorch.nn import init
from disttorch.nn.modules.module import Module
from disttorch.nn.modules.rnn_cell import GRUCell, LSTMCell, RNNCell, RNNCellBase
from disttorch.nn.parameter import empty_parameter
from disttorch.nn.utils.rnn import PackedSequence
from disttorch.ops import recurrent
from disttorch.ops.index_dim import index_select
from disttorch.tensor import Tensor

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_numbers(
    input_size: Any, hidden_size: Any, num_layers: int, proj_size: int, bias: Any, first: Any
) -> None:
    """TypeError and ValueError for settings that no network can have."""
    for name, flag in (("bias", bias), ("batch_first", first)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if num_layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def _check_dropout(dropout: Any, num_layers: int) -> None:
    """ValueError for what is no probability, a warning where there is nothing to drop."""
    number = isinstance(dropout, (int, float)) and not isinstance(dropout, bool)
    if not number or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            "element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )


class RNNBase(Module):
    """Part of all: parameters of each layer and direction, and the form of inputs and states.

    Parameters are ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, with
    ``_reverse`` for the second direction; gates are stacked along their first dimension.
    """

    states: ClassVar[int] = 1  # how many states a step hands on

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_dropout(dropout, num_layers)
        _check_numbers(input_size, hidden_size, num_layers, proj_size, bias, batch_first)
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: self._n_directions]:
                self._add_layer(layer, suffix, {"device": device, "dtype": dtype})
        self.reset_parameters()

    @property
    def _n_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        """Features that one direction puts out."""
        return self.proj_size or self.hidden_size

    def _add_layer(self, layer: int, suffix: str, where: dict[str, Any]) -> None:
        """Make the parameters of one layer and direction."""
        n_gates, n_out = _GATES[self.mode] * self.hidden_size, self._output_size
        n_in = self.input_size if layer == 0 else n_out * self._n_directions
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (n_gates, n_in),
            "weight_hh": (n_gates, n_out),
        }
        if self.bias:
            shapes |= {"bias_ih": (n_gates,), "bias_hh": (n_gates,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = {f"{kind}_l{layer}{suffix}": shape for kind, shape in shapes.items()}
        for name, shape in names.items():
            setattr(self, name, empty_parameter(*shape, **where))
        self._all_weights.append(list(names))

    def reset_parameters(self) -> None:
        """Fill with uniform numbers within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: it is there for cuDNN, in PyTorch."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    # ---- checks -----------------------------------------------------------------------------

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """ValueError for another dtype than the weights', RuntimeError for another shape."""
        dtype = self._flat_weights[0].dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert "
                f"input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        n_dims = 3 if batch_sizes is None else 2
        if input.ndim != n_dims:
            raise RuntimeError(f"input must have {n_dims} dimensions, got {input.ndim}")
        if self.input_size != input.shape[-1]:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.shape[-1]}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape (L * D, N, H) of the hidden state."""
        return self._state_shape(input, batch_sizes, self._output_size)

    def _state_shape(self, input: Tensor, batch_sizes: Any, depth: int) -> tuple[int, int, int]:
        n = (
            input.shape[0 if self.batch_first else 1]
            if batch_sizes is None
            else int(batch_sizes[0])
        )
        return self.num_layers * self._n_directions, n, depth

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: Any, msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """RuntimeError for a state of another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Raise for an input or a state that does not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorder the sequences of a state."""
        return hx if permutation is None else index_select(hx, 1, permutation)

    # ---- the call ---------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Run over (T, N, I), (N, T, I) with `batch_first`, (T, I), or a packed sequence.

        Returns the outputs in the same form and the last state; states start as zeros.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.ndim not in (2, 3):
            end = " tensor instead" if self.states == 1 and self.mode != "GRU" else " instead"
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D{end}"
            )
        batched = input.ndim == 3
        if hx is not None:
            self._check_state_rank(hx, batched)
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
            hx = self._each(lambda t: t.unsqueeze(1), hx)
        if hx is None:
            hx = self._zeros(input, None)
        self.check_forward_args(input, hx, None)
        y, last = self._run(input, hx, self.batch_first)
        if batched:
            return y, last
        return y.squeeze(0 if self.batch_first else 1), self._each(lambda t: t.squeeze(1), last)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, batch_sizes, in_order, back = packed
        if hx is None:
            hx = self._zeros(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, in_order)
        self.check_forward_args(data, hx, batch_sizes)
        y, last = self._run(data, hx, batch_sizes=batch_sizes)
        return PackedSequence(y, batch_sizes, in_order, back), self.permute_hidden(last, back)

    def _run(self, input: Tensor, hx: Any, batch_first: Any = None, batch_sizes: Any = None) -> Any:
        """Call the operator on checked arguments."""
        settings = (self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        network = getattr(recurrent, self.mode.lower())
        if batch_sizes is not None:
            y, *last = network(input, batch_sizes, hx, self._flat_weights, *settings)
        else:
            y, *last = network(input, hx, self._flat_weights, *settings, batch_first)
        return y, last[0] if self.states == 1 else tuple(last)

    def _each(self, change: Callable[[Tensor], Tensor], hx: Any) -> Any:
        """Apply a function to each state."""
        if hx is None or self.states == 1:
            return None if hx is None else change(hx)
        return tuple(change(t) for t in hx)

    def _zeros(self, input: Tensor, batch_sizes: Any) -> Any:
        return input.new_zeros(self.get_expected_hidden_size(input, batch_sizes))

    def _check_state_rank(self, hx: Any, batched: bool) -> None:
        kind, n = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        if hx.ndim != n:
            raise RuntimeError(
                f"For {kind} input, hx should also be {n}-D but got {hx.ndim}-D tensor"
            )

    def extra_repr(self) -> str:
        """Return the sizes, and the settings that are not default."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False}
        for name, default in {**defaults, "dropout": 0, "bidirectional": False}.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(RNNBase):
    """h = tanh(w_ih x + b_ih + w_hh h + b_hh), or ReLU by `nonlinearity`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        nonlinearity = args[3] if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args[:3], *args[4:], **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """Gated recurrent unit: reset and update gates, no cell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """Long short-term memory: states (h, c); `proj_size` makes h smaller than c."""

    states = 2

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape (L * D, N, H) of the cell."""
        return self._state_shape(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Raise for an input or a state that does not fit."""
        self.check_input(input, batch_sizes)
        expected = (self.get_expected_hidden_size, self.get_expected_cell_size)
        for i, (state, shape) in enumerate(zip(hidden, expected, strict=True)):
            message = f"Expected hidden[{i}] size {{}}, got {{}}"
            self.check_hidden_size(state, shape(input, batch_sizes), message)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Reorder the sequences of both states."""
        return tuple(super(LSTM, self).permute_hidden(t, permutation) for t in hx)

    def _zeros(self, input: Tensor, batch_sizes: Any) -> Any:
        cell = input.new_zeros(self.get_expected_cell_size(input, batch_sizes))
        return super()._zeros(input, batch_sizes), cell

    def _check_state_rank(self, hx: Any, batched: bool) -> None:
        kind, n = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        if any(t.ndim != n for t in hx):
            ranks = ", ".join(f"{t.ndim}-D" for t in hx)
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {n}-D but got ({ranks}) tensors"
            )
