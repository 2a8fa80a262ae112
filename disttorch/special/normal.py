"""Functions of the normal distribution, of entropy, and error functions beyond `erf`."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from disttorch.autograd.op import Op
from disttorch.ops.arguments import refuse_numbers
from disttorch.ops.arithmetic import mul
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.ops.pointwise import Pointwise, function_of
from disttorch.ops.pointwise_bessel import LibraryFunction
from disttorch.ops.pointwise_special import BackendFunction, erfc
from disttorch.tensor import Tensor

__all__ = ["entr", "erfcx", "log_ndtr", "ndtr", "ndtri", "xlog1py", "zeta"]

Array = Any
_OPERANDS = ("input", "other", "self")  # the first is named otherwise where it is a number


def ndtr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Probability that a standard normal number is below each element."""
    y = mul(erfc(mul(input, -sqrt(0.5))), 0.5)
    return y if out is None else write_out(out, y, "special_ndtr")


class Ndtri(LibraryFunction):
    """Inverse of `ndtr`: the number below which a standard normal number is with probability x."""

    ufunc, from_output, torch_name = "ndtri", True, "SpecialNdtriBackward0"

    def slope(ctx, y: Any) -> Any:
        return sqrt(2 * pi) * ctx.F.exp(y * y * 0.5)


ndtri = function_of(Ndtri)


class LogNdtr(BackendFunction):
    """Logarithm of `ndtr`, exact where that is small."""

    ufunc, torch_name = "log_ndtr", "SpecialLogNdtrBackward0"

    def slope(ctx, x: Any) -> Any:
        return sqrt(2 / pi) / ctx.call(Erfcx, x * -sqrt(0.5))


log_ndtr = function_of(LogNdtr, name="log_ndtr")


class Erfcx(BackendFunction):
    """exp(x^2) erfc(x)."""

    ufunc, torch_name = "erfcx", "SpecialErfcxBackward0"

    def slope(ctx, x: Any) -> Any:
        return 2 * x * ctx.call(Erfcx, x) - 2 / sqrt(pi)


erfcx = function_of(Erfcx)


class Entr(Pointwise):
    """-x log(x) for x > 0, 0 at 0 and -inf below."""

    torch_name = "SpecialEntrBackward0"

    def compute(ctx, x: Array) -> Array:
        refuse_kinds(x, "c", "entr")
        xp = ctx.xp
        return xp.where(x > 0, -x * xp.log(x), xp.where(x < 0, x.dtype.type("-inf"), x + 0))

    def slope(ctx, x: Any) -> Any:
        return -ctx.F.log(x) - 1


entr = function_of(Entr)


class Xlog1py(Op):
    """x log(1 + y), 0 where x is 0; broadcast."""

    promotes, torch_name = "float", "SpecialXlog1PyBackward0"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        xp = ctx.xp
        z = x * xp.log1p(y)
        return xp.where((x == 0) & ~xp.isnan(y), z.dtype.type(0), z)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        one = F.ones_like(g)
        skipped = (x == 0) & (y <= -1)
        return g * F.log1p(F.where(skipped, F.zeros_like(g), y * one)), g * x / (y + 1)


def xlog1py(input: Tensor | float, other: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """``input * log1p(other)``, 0 where `input` is 0; broadcast."""
    refuse_numbers("special_xlog1py", _OPERANDS, input, other)
    y = Xlog1py.apply(input, other)
    return y if out is None else write_out(out, y, "special_xlog1py")


class Zeta(Op):
    """Hurwitz zeta function of x and q, broadcast."""

    promotes, torch_name = "float", "SpecialZetaBackward0"

    def forward(ctx, x: Array, q: Array) -> Array:
        ctx.save(0, 1)
        kind = next(a.dtype for a in (x, q) if isinstance(a, ctx.backend.array_type))
        x, q = (ctx.backend.asarray(a, kind) for a in (x, q))
        return ctx.backend.library_function("zeta", x, q)

    def backward(ctx, g: Any) -> Any:
        if ctx.needs_grad(0):
            raise NotImplementedError("the derivative for 'zeta' is not implemented.")
        x, q = ctx.saved
        return None, g * -x * ctx.call(Zeta, x + 1, q)


def zeta(input: Tensor | float, other: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz zeta function: the sum of ``1 / (k + other) ** input`` over k >= 0, broadcast.

    Differentiable by `other` alone.
    """
    refuse_numbers("special_zeta", _OPERANDS, input, other)
    y = Zeta.apply(input, other)
    return y if out is None else write_out(out, y, "special_zeta")
