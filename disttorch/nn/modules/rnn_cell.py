"""Single steps of recurrent networks."""

from __future__ import annotations

import math
from typing import Any

from disttorch.nn import init
from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import Parameter, empty_parameter
from disttorch.ops import recurrent
from disttorch.tensor import Tensor


class RNNCellBase(Module):
    """Part of all: weights (gates * hidden_size, ...) and biases."""

    weight_ih: Parameter
    weight_hh: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        n, where = num_chunks * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = empty_parameter(n, input_size, **where)
        self.weight_hh = empty_parameter(n, hidden_size, **where)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, empty_parameter(n, **where) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill with uniform numbers within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _check_rank(self, what: str, t: Tensor) -> None:
        if t.ndim not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected {what} to be 1D or 2D, got {t.ndim}D instead"
            )

    def extra_repr(self) -> str:
        """Return the sizes, and the settings that are not default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text


class _OneStateCell(RNNCellBase):
    """Part of the cells whose only state is their output."""

    def _operator(self) -> Any:
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step: input (N, I) or (I,), hx (N, H) or (H,), zeros by default -> the next hx."""
        self._check_rank("input", input)
        if hx is not None:
            self._check_rank("hidden", hx)
        batched = input.ndim == 2
        x: Any = input if batched else input.unsqueeze(0)
        if hx is None:
            h = x.new_zeros((x.shape[0], self.hidden_size))
        else:
            h = hx if batched else hx.unsqueeze(0)
        y = self._operator()(x, h, *self._weights())
        return y if batched else y.squeeze(0)


class RNNCell(_OneStateCell):
    """One step of a plain recurrent network, `nonlinearity` "tanh" or "relu"."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def _operator(self) -> Any:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return getattr(recurrent, f"rnn_{self.nonlinearity}_cell")


class GRUCell(_OneStateCell):
    """One step of a gated recurrent unit."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def _operator(self) -> Any:
        return recurrent.gru_cell


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step: input (N, I) or (I,), hx = (h, c), zeros by default -> the next h and c."""
        self._check_rank("input", input)
        for i, state in enumerate(hx or ()):
            self._check_rank(f"hx[{i}]", state)
        batched = input.ndim == 2
        x: Any = input if batched else input.unsqueeze(0)
        if hx is None:
            zeros = x.new_zeros((x.shape[0], self.hidden_size))
            states: Any = (zeros, zeros)
        else:
            states = hx if batched else tuple(t.unsqueeze(0) for t in hx)
        h, c = recurrent.lstm_cell(x, states, *self._weights())
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))
