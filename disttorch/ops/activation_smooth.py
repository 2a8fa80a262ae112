"""Activations made of exponentials: gelu, silu, elu, softplus and their relatives."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

from disttorch.autograd.op import PointwiseOp, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.ops.arithmetic import add, div
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise_round import abs
from disttorch.ops.pointwise_special import Erf, Sigmoid
from disttorch.tensor import Tensor

__all__ = [
    *("celu", "elu", "gelu", "logsigmoid", "mish", "selu", "silu", "softplus", "softsign"),
    "tanhshrink",
]

Array = Any

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@quick(1, "f", keeps="input")
class Gelu(PointwiseOp):
    """x times the normal distribution's probability of values below x."""

    heavy = ("forward", "backward")

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of an array."""
        return backend.gelu

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biuc", "GeluKernelImpl")
        ctx.save(0)
        return ctx.backend.gelu(x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        if not ctx.F.recorded:
            return g * ctx.backend.gelu_slope(x)
        below = 0.5 * ctx.call(Erf, x * (1 / sqrt(2))) + 0.5
        return g * (below + x * ctx.F.exp(-0.5 * x * x) * (1 / sqrt(2 * pi)))


class GeluTanh(PointwiseOp):
    """Gelu with the probability approximated by a hyperbolic tangent."""

    heavy = ("forward", "backward")
    torch_name = "GeluBackward0"

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biuc", "GeluKernelImpl")
        ctx.save(0)
        y = 0.5 * x * (1 + ctx.xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        t = ctx.F.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))
        inner = sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


@public(function=False)
@accepts_out
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """Return x * P(N(0, 1) < x), exact or ``approximate="tanh"``; RuntimeError for others."""
    if approximate == "none":
        return Gelu.apply(input)
    if approximate == "tanh":
        return GeluTanh.apply(input)
    raise RuntimeError("approximate argument must be either none or tanh.")


@quick(1, "f", keeps="input")
class Silu(PointwiseOp):
    """x * sigmoid(x)."""

    heavy = ("forward", "backward")

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of an array."""
        return lambda x: x * Sigmoid.run(backend, x)

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biu", "silu_cpu")
        ctx.save(0)
        return x * Sigmoid.run(ctx.backend, x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        s = ctx.call(Sigmoid, x)
        return g * ctx.F.conj(s * (1 + x * (1 - s)))


@public(function=False)
def silu(input: Tensor) -> Tensor:
    """Return x * sigmoid(x), also called swish."""
    return Silu.apply(input)


class Elu(PointwiseOp):
    """scale * x where x > 0, scale * alpha * (exp(rate * x) - 1) elsewhere."""

    heavy = ("forward", "backward")

    def forward(ctx, x: Array, alpha: float, scale: float, rate: float) -> Array:
        refuse_kinds(x, "biu", "elu_cpu")
        ctx.save(0)
        ctx.alpha, ctx.scale, ctx.rate = alpha, scale, rate
        below = ctx.backend.expm1(ctx.xp.minimum(x, 0) * rate) * (alpha * scale)
        return (ctx.xp.maximum(x, 0) * scale + below).astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        positive = x > 0
        slope = ctx.F.exp(ctx.F.minimum(x, ctx.F.zeros_like(x)) * ctx.rate)
        below = slope * ctx.F.logical_not(positive) * (ctx.alpha * ctx.scale * ctx.rate)
        return g * below + g * positive * ctx.scale


class Celu(Elu, overload="CeluBackward0"):
    """The same by PyTorch's other name for it."""


@public(function=False)
def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return Elu.apply(input, alpha=alpha, scale=1.0, rate=1.0)


@public(inplace=True)
def selu(input: Tensor) -> Tensor:
    """Elu with the scale and alpha that keep mean 0 and variance 1 from layer to layer."""
    return Elu.apply(input, alpha=_SELU_ALPHA, scale=_SELU_SCALE, rate=1.0)


@public(inplace=True)
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)); RuntimeError for alpha 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return Celu.apply(input, alpha=alpha, scale=1.0, rate=1 / alpha)


class Softplus(PointwiseOp):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold."""

    heavy = ("forward", "backward")

    def forward(ctx, x: Array, beta: float, threshold: float) -> Array:
        refuse_kinds(x, "biuc", "softplus_cpu")
        ctx.save(0)
        ctx.beta, ctx.threshold = beta, threshold
        z = x * beta
        xp = ctx.xp
        # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|) never overflows.
        y = (xp.maximum(z, 0) + ctx.backend.log1p(xp.exp(-xp.abs(z)))) / beta
        return ctx.backend.where(z > threshold, x, y.astype(x.dtype, copy=False))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        linear = x * ctx.beta > ctx.threshold
        curved = g * ctx.F.logical_not(linear)
        return curved * ctx.call(Sigmoid, x * ctx.beta) + g * linear


@public(function=False)
@accepts_out
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, linear where ``beta * x > threshold``."""
    return Softplus.apply(input, beta=beta, threshold=threshold)


class LogSigmoid(PointwiseOp):
    """log(1 / (1 + exp(-x)))."""

    heavy = ("forward", "backward")

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biuc", "log_sigmoid_cpu")
        ctx.save(0)
        xp = ctx.xp
        return xp.minimum(x, 0) - ctx.backend.log1p(xp.exp(-xp.abs(x)))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return g * ctx.call(Sigmoid, -x)


@public(function=False)
@accepts_out
def logsigmoid(input: Tensor) -> Tensor:
    """Logarithm of the sigmoid, without underflow."""
    return LogSigmoid.apply(input)


class Mish(PointwiseOp):
    """x * tanh(log(1 + exp(x)))."""

    heavy = ("forward", "backward")

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biuc", "mish_cpu")
        ctx.save(0)
        return x * ctx.xp.tanh(Softplus.run(ctx.backend, x, beta=1.0, threshold=20.0))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        t = ctx.F.tanh(ctx.call(Softplus, x, beta=1.0, threshold=20.0))
        return g * (t + x * (1 - t * t) * ctx.call(Sigmoid, x))


@public(function=False)
def mish(input: Tensor) -> Tensor:
    """Return x * tanh(softplus(x))."""
    return Mish.apply(input)


class Softsign(PointwiseOp):
    """x / (1 + |x|)."""

    promotes = "float"

    def forward(ctx, x: Array) -> Array:
        ctx.save(0)
        return x / (1 + ctx.xp.abs(x))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        width = 1 + ctx.F.abs(x)
        return g / (width * width)


@public(function=False)
def softsign(input: Tensor) -> Tensor:
    """Return x / (1 + |x|)."""
    if input.is_complex():
        return div(input, add(abs(input), 1))
    return Softsign.apply(input)


class Tanhshrink(PointwiseOp):
    """x - tanh(x)."""

    heavy = ("forward", "backward")
    promotes = "float"

    def forward(ctx, x: Array) -> Array:
        ctx.save(0)
        return x - ctx.xp.tanh(x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        t = ctx.F.tanh(x)
        return g * ctx.F.conj(t * t)


@public(function=False)
def tanhshrink(input: Tensor) -> Tensor:
    """Return x - tanh(x)."""
    return Tanhshrink.apply(input)
