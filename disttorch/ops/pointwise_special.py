"""Special functions: sigmoid and logit, error functions, the gamma function's logarithm."""

from __future__ import annotations

from collections.abc import Callable
from math import nan, pi, sqrt
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.backends import Backend
from disttorch.ops.out import write_out
from disttorch.ops.pointwise import Pointwise, function_of
from disttorch.tensor import Tensor

__all__ = [
    *("digamma", "erf", "erfc", "erfinv", "expit", "lgamma", "logit", "polygamma"),
    *("sigmoid", "xlogy"),
]

Array = Any


class Sigmoid(Pointwise):
    """1 / (1 + exp(-x))."""

    from_output = True

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of an array."""
        return backend.sigmoid

    def compute(ctx, x: Array) -> Array:
        return ctx.backend.sigmoid(x)

    def slope(ctx, y: Any) -> Any:
        return y * (1 - y)


sigmoid = function_of(Sigmoid)
expit = public(function=False)(function_of(Sigmoid, name="expit"))


class Logit(Op):
    """log(x / (1 - x)), x limited to [eps, 1 - eps] if eps is given."""

    promotes = "float"

    def forward(ctx, x: Array, eps: float | None) -> Array:
        ctx.save(0)
        ctx.inside = None
        if eps is not None:
            ctx.inside = (x >= eps) & (x <= 1 - eps)
            x = ctx.backend.clip(x, eps, 1 - eps).astype(x.dtype, copy=False)
        return ctx.xp.log(x / (1 - x))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        if ctx.inside is None:
            return ctx.F.where((x < 0) | (x > 1), ctx.F.zeros_like(x) * nan, g / (x * (1 - x)))
        return ctx.F.where(ctx.constant(ctx.inside), g / (x * (1 - x)), ctx.F.zeros_like(g))


@public(method=True, inplace=True)
def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """Inverse of `sigmoid`: log(x / (1 - x)), with x limited to [eps, 1 - eps] if given."""
    y = Logit.apply(input, eps=eps)
    return y if out is None else write_out(out, y, "logit")


class BackendFunction(Pointwise):
    """Base of functions that the backend computes; `ufunc` is the name of its method."""

    def compute(ctx, x: Array) -> Array:
        return getattr(ctx.backend, ctx.ufunc)(x)


class Erf(BackendFunction):
    """Error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    ufunc = "erf"

    def slope(ctx, x: Any) -> Any:
        return ctx.F.exp(-x * x) * (2 / sqrt(pi))


erf = function_of(Erf)


class Erfc(BackendFunction):
    """1 - erf(x), exact where that is small."""

    ufunc = "erfc"

    def slope(ctx, x: Any) -> Any:
        return ctx.F.exp(-x * x) * (-2 / sqrt(pi))


erfc = function_of(Erfc)


class Erfinv(BackendFunction):
    """Inverse of erf; NaN outside [-1, 1]."""

    ufunc, from_output = "erfinv", True

    def slope(ctx, y: Any) -> Any:
        return ctx.F.exp(y * y) * (sqrt(pi) / 2)


erfinv = function_of(Erfinv)


class Lgamma(BackendFunction):
    """Logarithm of the absolute value of the gamma function."""

    ufunc = "lgamma"

    def slope(ctx, x: Any) -> Any:
        return ctx.call(Polygamma, x, n=0)


lgamma = function_of(Lgamma)


class Polygamma(Op):
    """n-th derivative of the digamma function."""

    promotes = "float"

    def forward(ctx, x: Array, n: int) -> Array:
        ctx.save(0)
        ctx.n = n
        return ctx.backend.polygamma(n, x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return g * ctx.call(Polygamma, x, n=ctx.n + 1)


class Digamma(Polygamma, overload="DigammaBackward0"):
    """With n = 0."""


@public(method=True, inplace=True)
def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Derivative of `lgamma`."""
    y = Digamma.apply(input, n=0)
    return y if out is None else write_out(out, y, "digamma")


@public(method=True, inplace=True)
def polygamma(n: Any, input: Any, *, out: Tensor | None = None) -> Tensor:
    """Derivative of order `n` of `digamma`; RuntimeError for a negative order."""
    if isinstance(n, Tensor):  # the method has its operands the other way round
        n, input = input, n
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    y = Polygamma.apply(input, n=n)
    return y if out is None else write_out(out, y, "polygamma")


class Xlogy(Op):
    """x log(y), 0 where x is 0; broadcast."""

    promotes = "float"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        xp = ctx.xp
        z = x * xp.log(y)
        return xp.where((x == 0) & ~xp.isnan(y), z.dtype.type(0), z)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        skipped = (x == 0) & (y <= 0)
        one = F.ones_like(g)
        return g * F.log(F.where(skipped, one, y * one)), g * x / y


@public(method=True, inplace=True)
def xlogy(input: Tensor | float, other: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """``input * log(other)``, 0 where `input` is 0; broadcast."""
    y = Xlogy.apply(input, other)
    return y if out is None else write_out(out, y, "xlogy")
