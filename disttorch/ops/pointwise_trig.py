"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from math import pi
from typing import Any

from disttorch.autograd.op import Op, PointwiseOp, public
from disttorch.ops.out import write_out
from disttorch.ops.pointwise import Pointwise, function_of
from disttorch.tensor import Tensor

__all__ = [
    *("acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh"),
    *("asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "deg2rad", "hypot", "rad2deg"),
    *("sin", "sinc", "sinh", "tan", "tanh"),
]

Array = Any


class Sin(Pointwise):
    """Sine of x in radians."""

    ufunc, heavy = "sin", ("forward", "backward")

    def slope(ctx, x: Any) -> Any:
        return ctx.F.cos(x)


sin = function_of(Sin)


class Cos(Pointwise):
    """Cosine of x in radians."""

    ufunc, heavy = "cos", ("forward", "backward")

    def slope(ctx, x: Any) -> Any:
        return -ctx.F.sin(x)


cos = function_of(Cos)


class Tan(Pointwise):
    """Tangent of x in radians."""

    ufunc, from_output = "tan", True

    def slope(ctx, y: Any) -> Any:
        return y * y + 1


tan = function_of(Tan)


class Asin(Pointwise):
    """Inverse sine; NaN outside [-1, 1]."""

    ufunc = "arcsin"

    def slope(ctx, x: Any) -> Any:
        return 1 / ctx.F.sqrt(1 - x * x)


asin = function_of(Asin)
arcsin = function_of(Asin, name="arcsin")


class Acos(Pointwise):
    """Inverse cosine; NaN outside [-1, 1]."""

    ufunc = "arccos"

    def slope(ctx, x: Any) -> Any:
        return -1 / ctx.F.sqrt(1 - x * x)


acos = function_of(Acos)
arccos = function_of(Acos, name="arccos")


class Atan(Pointwise):
    """Inverse tangent."""

    ufunc = "arctan"

    def slope(ctx, x: Any) -> Any:
        return 1 / (x * x + 1)


atan = function_of(Atan)
arctan = function_of(Atan, name="arctan")


class Sinh(Pointwise):
    """Hyperbolic sine."""

    ufunc = "sinh"

    def slope(ctx, x: Any) -> Any:
        return ctx.F.cosh(x)


sinh = function_of(Sinh)


class Cosh(Pointwise):
    """Hyperbolic cosine."""

    ufunc = "cosh"

    def slope(ctx, x: Any) -> Any:
        return ctx.F.sinh(x)


cosh = function_of(Cosh)


class Tanh(Pointwise):
    """Hyperbolic tangent."""

    ufunc, from_output = "tanh", True

    def slope(ctx, y: Any) -> Any:
        return 1 - y * y


tanh = function_of(Tanh)


class Asinh(Pointwise):
    """Inverse hyperbolic sine."""

    ufunc = "arcsinh"

    def slope(ctx, x: Any) -> Any:
        return 1 / ctx.F.sqrt(x * x + 1)


asinh = function_of(Asinh)
arcsinh = function_of(Asinh, name="arcsinh")


class Acosh(Pointwise):
    """Inverse hyperbolic cosine; NaN below 1."""

    ufunc = "arccosh"

    def slope(ctx, x: Any) -> Any:
        if ctx.metas[0][1].kind == "c":
            return 1 / (ctx.F.sqrt(x - 1) * ctx.F.sqrt(x + 1))
        return 1 / ctx.F.sqrt(x * x - 1)  # also below -1, as PyTorch


acosh = function_of(Acosh)
arccosh = function_of(Acosh, name="arccosh")


class Atanh(Pointwise):
    """Inverse hyperbolic tangent; NaN outside [-1, 1]."""

    ufunc = "arctanh"

    def slope(ctx, x: Any) -> Any:
        return 1 / (1 - x * x)


atanh = function_of(Atanh)
arctanh = function_of(Atanh, name="arctanh")


class Deg2Rad(PointwiseOp):
    """Degrees to radians."""

    promotes = "float"

    def forward(ctx, x: Array) -> Array:
        return x * x.dtype.type(pi / 180)

    def backward(ctx, g: Any) -> Any:
        return g * (pi / 180)


deg2rad = function_of(Deg2Rad)


class Rad2Deg(PointwiseOp):
    """Radians to degrees."""

    promotes = "float"

    def forward(ctx, x: Array) -> Array:
        return x * x.dtype.type(180 / pi)

    def backward(ctx, g: Any) -> Any:
        return g * (180 / pi)


rad2deg = function_of(Rad2Deg)


class Sinc(Pointwise):
    """sin(pi x) / (pi x), 1 at 0."""

    def compute(ctx, x: Array) -> Array:
        return ctx.xp.sinc(x).astype(x.dtype, copy=False)

    def slope(ctx, x: Any) -> Any:
        at_zero = x * x == 0  # also where the square underflows
        safe = ctx.F.where(at_zero, ctx.F.ones_like(x), x) * pi
        inner = (safe * ctx.F.cos(safe) - ctx.F.sin(safe)) * pi / (safe * safe)
        return ctx.F.where(at_zero, ctx.F.zeros_like(x), inner)


sinc = function_of(Sinc)


class Atan2(Op):
    """Angle of the point (x, y), broadcast."""

    promotes = "float"

    def forward(ctx, y: Array, x: Array) -> Array:
        ctx.save(0, 1)
        return ctx.xp.arctan2(y, x)

    def backward(ctx, g: Any) -> Any:
        y, x = ctx.saved
        over = g / (x * x + y * y)
        return over * x, over * -y


@public(method=True, inplace=True)
def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Angle in (-pi, pi] of the point with ordinate `input` and abscissa `other`, broadcast."""
    y = Atan2.apply(input, other)
    return y if out is None else write_out(out, y, "atan2")


@public(method=True, inplace=True)
def arctan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Alias of `atan2`."""
    return atan2(input, other, out=out)


class Hypot(Op):
    """sqrt(x^2 + y^2), broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        ctx.save_output()
        return ctx.xp.hypot(x, y)

    def backward(ctx, g: Any) -> Any:
        x, y, r = ctx.saved
        over = g / r
        return over * x, over * y


@public(method=True, inplace=True)
def hypot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Length of the hypotenuse of a right triangle with these legs, broadcast."""
    y = Hypot.apply(input, other)
    return y if out is None else write_out(out, y, "hypot")
