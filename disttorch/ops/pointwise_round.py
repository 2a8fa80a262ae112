"""Rounding, signs and absolute values, and replacing NaN."""

from __future__ import annotations

from typing import Any, ClassVar

from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.op import Op, PointwiseOp, public
from disttorch.autograd.quick import quick
from disttorch.dtype import finfo, from_numpy_dtype
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.ops.pointwise import function_of
from disttorch.tensor import Tensor

__all__ = [
    *("abs", "abs_", "absolute", "absolute_", "angle", "ceil", "fix", "floor", "frac"),
    *("nan_to_num", "nextafter", "round", "sgn", "sign", "trunc"),
]

Array = Any


class Rounding(Op):
    """Base of operators that round: integers stay as they are, the derivative is 0."""

    ufunc: ClassVar[str]

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "b", f"{ctx.ufunc}_vml_cpu")
        if x.dtype.kind == "c":
            raise NotImplementedError(f"{ctx.ufunc} is not supported for complex inputs")
        return ctx.xp.array(x) if x.dtype.kind in "iu" else getattr(ctx.xp, ctx.ufunc)(x)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g)


@quick(1, "f")
class Floor(Rounding):
    """Largest integer that is not above x."""

    ufunc = "floor"


floor = function_of(Floor)


@quick(1, "f")
class Ceil(Rounding):
    """Smallest integer that is not below x."""

    ufunc = "ceil"


ceil = function_of(Ceil)


@quick(1, "f")
class Trunc(Rounding):
    """Integer part of x: rounds toward zero."""

    ufunc = "trunc"


trunc = function_of(Trunc)
fix = function_of(Trunc, name="fix")


class Round(Op):
    """Nearest integer, or multiple of 10 ** -decimals; halves go to the even neighbour."""

    def forward(ctx, x: Array, decimals: int) -> Array:
        refuse_kinds(x, "biu" if decimals else "b", "round_cpu" if decimals else "round_vml_cpu")
        if x.dtype.kind in "iu":
            return ctx.xp.array(x)
        if decimals == 0:
            return ctx.xp.rint(x)
        scale = 10.0 ** abs_number(decimals)
        y = ctx.xp.rint(x * scale) / scale if decimals > 0 else ctx.xp.rint(x / scale) * scale
        return y.astype(x.dtype, copy=False)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g)


def abs_number(n: int) -> int:
    """Absolute value of a number: the public `abs` below takes tensors."""
    return -n if n < 0 else n


@public(method=True, inplace=True)
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Round to the nearest multiple of 10 ** -decimals, halves to the even neighbour."""
    y = Round.apply(input, decimals=decimals)
    return y if out is None else write_out(out, y, "round")


class Frac(Op):
    """Fractional part of x, with its sign."""

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "biu", "frac_cpu")
        return x - ctx.xp.trunc(x)

    def backward(ctx, g: Any) -> Any:
        return g


frac = function_of(Frac)


class Sign(Op):
    """-1, 0 or 1 by the sign of x."""

    def forward(ctx, x: Array) -> Array:
        if x.dtype.kind == "c":
            raise NotImplementedError(
                "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
                "torch.sgn instead."
            )
        if x.dtype.kind == "b":
            return ctx.xp.array(x)
        y = ctx.xp.sign(x)
        if x.dtype.kind in "iu":
            return y
        return ctx.backend.where(ctx.xp.isnan(x), x.dtype.type(0), y)  # PyTorch's of NaN is 0

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g)


sign = function_of(Sign)


@quick(1, "fiu", keeps="input")
class Abs(PointwiseOp):
    """Absolute value; real for complex x."""

    ufunc = "abs"

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "b", "abs_cpu")
        ctx.save(0)
        return ctx.xp.abs(x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        return g * ctx.F.sgn(x)


abs = function_of(Abs, inplace=False)
absolute = function_of(Abs, inplace=False, name="absolute")


@public(method=True, function=False)
def abs_(input: Tensor) -> Tensor:
    """In-place version of `abs`; RuntimeError for complex tensors, whose lengths are real."""
    if input.is_complex():
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    return inplace_variant(abs)(input)


@public(method=True, function=False)
def absolute_(input: Tensor) -> Tensor:
    """Alias of `abs_`."""
    return abs_(input)


class Sgn(Op):
    """x / |x|, 0 at 0: the sign of real x, the direction of complex x."""

    def forward(ctx, x: Array) -> Array:
        ctx.save(0)
        return ctx.xp.array(x) if x.dtype.kind == "b" else ctx.backend.F.sgn(x)

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        F = ctx.F
        if x.dtype.is_complex if F.recorded else x.dtype.kind == "c":
            direction = F.sgn(x)
            zero = x == 0
            length = F.where(zero, F.ones_like(F.abs(x)), F.abs(x))
            inward = F.real(g * F.conj(direction)) * direction
            return F.where(zero, F.zeros_like(g), (g - inward) / length)
        return F.zeros_like(g)


sgn = function_of(Sgn)


class Angle(Op):
    """Argument of a complex number; 0 or pi for real ones."""

    promotes = "float"

    def forward(ctx, x: Array) -> Array:
        ctx.save(0)
        return ctx.xp.where(ctx.xp.isnan(x), x.real, ctx.xp.angle(x).astype(x.real.dtype))

    def backward(ctx, g: Any) -> Any:
        (x,) = ctx.saved
        F = ctx.F
        if not (x.dtype.is_complex if F.recorded else x.dtype.kind == "c"):
            return F.zeros_like(g)
        squared = F.real(x * F.conj(x))
        over = g / F.where(squared == 0, F.ones_like(squared), squared)
        return F.complex(-over * F.imag(x), over * F.real(x))


angle = function_of(Angle, inplace=False)


class NanToNum(Op):
    """x with NaN and infinities replaced by numbers."""

    def forward(ctx, x: Array, nan: float, posinf: float | None, neginf: float | None) -> Array:
        if x.dtype.kind in "biu":
            return ctx.xp.array(x)
        limits = finfo(from_numpy_dtype(x.dtype))
        high = limits.max if posinf is None else posinf
        low = limits.min if neginf is None else neginf
        ctx.finite = ctx.xp.isfinite(x)
        xp = ctx.xp
        replaced = xp.where(xp.isnan(x), nan, xp.where(x > 0, high, low))
        return xp.where(ctx.finite, x, replaced.astype(x.dtype))

    def backward(ctx, g: Any) -> Any:
        return g * ctx.constant(ctx.finite)


@public(method=True, inplace=True)
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Replace NaN by `nan` (0), infinities by `posinf` and `neginf` (the dtype's limits)."""
    y = NanToNum.apply(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)
    return y if out is None else write_out(out, y, "nan_to_num")


class Nextafter(Op):
    """The floating number next to x on the way to y, broadcast; the derivative is that of x."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        refuse_kinds(x, "biuc", "nextafter_cpu")
        return ctx.xp.nextafter(x, y)

    def backward(ctx, g: Any) -> Any:
        return g, ctx.F.zeros_like(g)


@public(method=True, inplace=True)
def nextafter(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Next floating number after `input` toward `other`, broadcast."""
    y = Nextafter.apply(input, other)
    return y if out is None else write_out(out, y, "nextafter")
