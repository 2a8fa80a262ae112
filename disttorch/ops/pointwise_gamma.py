"""The multivariate and the incomplete gamma functions."""

from __future__ import annotations

from math import log, pi
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.ops.pointwise_special import Lgamma, Polygamma
from disttorch.tensor import Tensor

__all__ = ["igamma", "igammac", "mvlgamma"]

Array = Any


class Igamma(Op):
    """Lower regularised incomplete gamma function P(a, x), broadcast."""

    promotes = "same"
    ufunc, sign = "gammainc", 1

    def forward(ctx, a: Array, x: Array) -> Array:
        refuse_kinds(a, "biuc", ctx.op_name.lower())
        ctx.save(0, 1)
        return ctx.backend.library_function(ctx.ufunc, a, x)

    def backward(ctx, g: Any) -> Any:
        if ctx.needs_grad(0):
            name = ctx.op_name.lower()
            raise NotImplementedError(f"the derivative for '{name}: input' is not implemented.")
        a, x = ctx.saved
        F = ctx.F
        log_density = (a - 1) * F.log(x) - x - ctx.call(Lgamma, a)
        return None, g * F.exp(log_density) * ctx.sign


class Igammac(Igamma):
    """Upper regularised incomplete gamma function Q(a, x) = 1 - P(a, x), broadcast."""

    ufunc, sign = "gammaincc", -1


class Mvlgamma(Op):
    """Logarithm of the multivariate gamma function of dimension p."""

    promotes = "float"

    def forward(ctx, x: Array, p: int) -> Array:
        refuse_kinds(x, "c", "mvlgamma_cpu")
        ctx.save(0)
        ctx.p = p
        total = ctx.backend.lgamma(x) + x.dtype.type(p * (p - 1) * log(pi) / 4)
        for j in range(1, p):
            total += ctx.backend.lgamma(x - x.dtype.type(j / 2))
        return total

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        total = ctx.call(Polygamma, x, n=0)
        for j in range(1, ctx.p):
            total = total + ctx.call(Polygamma, x - j / 2, n=0)
        return g * total


@public(method=True, inplace=True)
def igamma(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Lower regularised incomplete gamma function P(input, other), broadcast.

    Differentiable by `other` alone: NotImplementedError for the gradient of `input`.
    """
    y = Igamma.apply(input, other)
    return y if out is None else write_out(out, y, "igamma")


@public(method=True, inplace=True)
def igammac(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Upper regularised incomplete gamma function, 1 - `igamma`, broadcast."""
    y = Igammac.apply(input, other)
    return y if out is None else write_out(out, y, "igammac")


@public(method=True, inplace=True)
def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """Logarithm of the multivariate gamma function of dimension `p`; RuntimeError for p < 1."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    y = Mvlgamma.apply(input, p=p)
    return y if out is None else write_out(out, y, "mvlgamma")
