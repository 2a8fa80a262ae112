"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from disttorch.nn import functional as F
from disttorch.nn import init as initialise
from disttorch.nn.modules.function_module import REQUIRED, FunctionModule, defaults
from disttorch.nn.modules.module import Module
from disttorch.nn.parameter import Parameter, empty_parameter
from disttorch.tensor import Tensor


class Threshold(FunctionModule):
    """x where above `threshold`, else `value`."""

    function = "threshold"
    settings = defaults(threshold=REQUIRED, value=REQUIRED, inplace=False)


class ReLU(FunctionModule):
    """max(x, 0)."""

    function = "relu"
    settings = defaults(inplace=False)


class RReLU(FunctionModule):
    """Leaky ReLU whose slope is drawn from [lower, upper] in training, their mean otherwise."""

    function = "rrelu"
    settings = defaults(lower=1 / 8, upper=1 / 3, inplace=False)
    passes_training = True


class Hardtanh(FunctionModule):
    """x cut off at `min_val` and `max_val`."""

    function = "hardtanh"
    settings = defaults(min_val=-1.0, max_val=1.0, inplace=False)


class ReLU6(FunctionModule):
    """min(max(x, 0), 6)."""

    function = "relu6"
    settings = defaults(inplace=False)


class Sigmoid(FunctionModule):
    """1 / (1 + exp(-x))."""

    function = "sigmoid"


class Hardsigmoid(FunctionModule):
    """relu6(x + 3) / 6."""

    function = "hardsigmoid"
    settings = defaults(inplace=False)
    hidden = ("inplace",)


class Tanh(FunctionModule):
    """Hyperbolic tangent."""

    function = "tanh"


class SiLU(FunctionModule):
    """x * sigmoid(x)."""

    function = "silu"
    settings = defaults(inplace=False)


class Mish(FunctionModule):
    """x * tanh(softplus(x))."""

    function = "mish"
    settings = defaults(inplace=False)


class Hardswish(FunctionModule):
    """x * relu6(x + 3) / 6."""

    function = "hardswish"
    settings = defaults(inplace=False)
    hidden = ("inplace",)


class ELU(FunctionModule):
    """x where positive, else alpha * (exp(x) - 1)."""

    function = "elu"
    settings = defaults(alpha=1.0, inplace=False)


class CELU(FunctionModule):
    """x where positive, else alpha * (exp(x / alpha) - 1)."""

    function = "celu"
    settings = defaults(alpha=1.0, inplace=False)


class SELU(FunctionModule):
    """ELU, scaled so that activations keep mean 0 and variance 1."""

    function = "selu"
    settings = defaults(inplace=False)


class GLU(FunctionModule):
    """First half of dimension `dim` times sigmoid of the second."""

    function = "glu"
    settings = defaults(dim=-1)


class GELU(FunctionModule):
    """x times the normal distribution function of x, `approximate` "none" or "tanh"."""

    function = "gelu"
    settings = defaults(approximate="none")


class Hardshrink(FunctionModule):
    """x where it is farther from 0 than `lambd`, else 0."""

    function = "hardshrink"
    settings = defaults(lambd=0.5)
    bare = True


class LeakyReLU(FunctionModule):
    """x where positive, else negative_slope * x."""

    function = "leaky_relu"
    settings = defaults(negative_slope=0.01, inplace=False)


class LogSigmoid(FunctionModule):
    """log(sigmoid(x))."""

    function = "logsigmoid"


class Softplus(FunctionModule):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above `threshold`."""

    function = "softplus"
    settings = defaults(beta=1.0, threshold=20.0)


class Softshrink(FunctionModule):
    """x moved towards 0 by `lambd`, 0 within."""

    function = "softshrink"
    settings = defaults(lambd=0.5)
    bare = True


class Softsign(FunctionModule):
    """x / (1 + |x|)."""

    function = "softsign"


class Tanhshrink(FunctionModule):
    """x - tanh(x)."""

    function = "tanhshrink"


class Softmin(FunctionModule):
    """softmax(-x) along `dim`."""

    function = "softmin"
    settings = defaults(dim=None)


class Softmax(FunctionModule):
    """exp(x) / sum(exp(x)) along `dim`."""

    function = "softmax"
    settings = defaults(dim=None)


class LogSoftmax(FunctionModule):
    """log(softmax(x)) along `dim`."""

    function = "log_softmax"
    settings = defaults(dim=None)


class Softmax2d(Module):
    """Softmax over the channels: (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it; ValueError for other than 3 or 4 dimensions."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)


class PReLU(Module):
    """x where positive, else weight * x; one learnt weight, or one for each channel."""

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = empty_parameter(num_parameters, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its initial value."""
        initialise.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Return max(0, x) + weight * min(0, x), each channel (dimension 1) by its weight."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return the number of weights."""
        return f"num_parameters={self.num_parameters}"
