"""Choosing between operands: clamp, maximum, minimum, where, heaviside and their relatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import Op, PointwiseOp, public
from disttorch.autograd.promotion import promote
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES, promote_types, scalar_dtype
from disttorch.dtype import bool as bool_dtype
from disttorch.ops.arguments import no_such_form
from disttorch.ops.cast import cast
from disttorch.ops.index_mask import nonzero
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = [
    *("clamp", "clamp_max", "clamp_min", "clip", "copysign", "fmax", "fmin", "heaviside"),
    *("logaddexp", "logaddexp2", "maximum", "minimum", "where"),
]

Array = Any
Bound = Tensor | float | None


class Extreme(PointwiseOp):
    """Base of the larger or smaller of two operands."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        if x.dtype.kind == "c":
            raise RuntimeError(f"{ctx.ufunc} not implemented for complex tensors.")
        ctx.save(0, 1)
        return getattr(ctx.xp, ctx.ufunc)(x, y)


@quick(2, "fViu", keeps="input")
class Maximum(Extreme):
    """The larger of x and y, NaN if either is."""

    ufunc = "maximum"

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        half = g * 0.5
        return half * (x >= y) + half * (x > y), half * (x <= y) + half * (x < y)


@quick(2, "fViu", keeps="input")
class Minimum(Extreme):
    """The smaller of x and y, NaN if either is."""

    ufunc = "minimum"

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        half = g * 0.5
        return half * (x <= y) + half * (x < y), half * (x >= y) + half * (x > y)


class Fmax(Extreme):
    """The larger of x and y, the other one if one is NaN; a tie counts as x."""

    ufunc = "fmax"

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        first = (x >= y) | ctx.F.isnan(y)
        return g * first, g * ctx.F.logical_not(first)


class Fmin(Extreme):
    """The smaller of x and y, the other one if one is NaN; a tie counts as x."""

    ufunc = "fmin"

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        first = (x <= y) | ctx.F.isnan(y)
        return g * first, g * ctx.F.logical_not(first)


@public(method=True)
def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Larger of two tensors, broadcast; NaN where either is NaN."""
    y = Maximum.apply(input, other)
    return y if out is None else write_out(out, y, "maximum")


@public(method=True)
def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Smaller of two tensors, broadcast; NaN where either is NaN."""
    y = Minimum.apply(input, other)
    return y if out is None else write_out(out, y, "minimum")


@public(method=True)
def fmax(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Larger of two tensors, broadcast; the number where the other is NaN."""
    y = Fmax.apply(input, other)
    return y if out is None else write_out(out, y, "fmax")


@public(method=True)
def fmin(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Smaller of two tensors, broadcast; the number where the other is NaN."""
    y = Fmin.apply(input, other)
    return y if out is None else write_out(out, y, "fmin")


class Clamp(PointwiseOp):
    """x limited to [low, high], either of which may be None; the gradient stops outside."""

    promotes = "same"

    def forward(ctx, x: Array, low: Any, high: Any) -> Array:
        if x.dtype.kind == "c":
            raise NotImplementedError("clamp is not supported for complex types")
        ctx.save(0, 1, 2)
        return ctx.backend.clip(x, low, high)

    def backward(ctx, g: Any) -> Any:
        x, low, high = ctx.saved
        inside = None if low is None else x >= low
        if high is not None:
            inside = x <= high if inside is None else inside & (x <= high)
        both = low is not None and high is not None
        glow = ghigh = None
        if ctx.needs_grad(1):  # where the bounds are in disorder, the upper one is the result
            glow = g * ((x < low) & (low < high) if both else x < low)
        if ctx.needs_grad(2):
            ghigh = g * ((x > high) | (high < low) if both else x > high)
        return g * inside if ctx.needs_grad(0) else None, glow, ghigh


@quick(1, "f", keeps="input", settings=True)
class ClampNumbers(Clamp, overload="ClampBackward1"):
    """Between numbers."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of an array and the bounds."""
        return backend.clip


@public(method=True, inplace=True)
def clamp(
    input: Tensor, min: Bound = None, max: Bound = None, *, out: Tensor | None = None
) -> Tensor:
    """Limit to [min, max], numbers or tensors (broadcast); the upper bound wins.

    Raises RuntimeError when both bounds are None.
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    op = Clamp if isinstance(min, Tensor) or isinstance(max, Tensor) else ClampNumbers
    y = op.apply(input, min, max)
    return y if out is None else write_out(out, y, "clamp")


@public(method=True, inplace=True)
def clip(
    input: Tensor, min: Bound = None, max: Bound = None, *, out: Tensor | None = None
) -> Tensor:
    """Alias of `clamp`."""
    return clamp(input, min, max, out=out)


@public(method=True, inplace=True)
def clamp_min(input: Tensor, min: Bound, *, out: Tensor | None = None) -> Tensor:
    """Limit from below."""
    return clamp(input, min=min, out=out)


@public(method=True, inplace=True)
def clamp_max(input: Tensor, max: Bound, *, out: Tensor | None = None) -> Tensor:
    """Limit from above."""
    return clamp(input, max=max, out=out)


class KeepWhere(PointwiseOp):
    """x where a mask is true, else 0: the gradient of a choice."""

    def forward(ctx, x: Array, mask: Array) -> Array:
        ctx.save(1)
        return ctx.backend.keep_where(x, mask)

    def backward(ctx, g: Any) -> Any:
        (mask,) = ctx.saved
        return ctx.call(KeepWhere, g, mask), None


@quick(None, keeps="first", settings=True)
class Where(PointwiseOp):
    """x where the condition holds, else y; broadcast."""

    apart = 0

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the choice between operands of one dtype."""
        return backend.where

    def forward(ctx, condition: Array, x: Array, y: Array) -> Array:
        ctx.save(0)
        operands = [x, y]
        promote(ctx.backend, operands, "same")
        return ctx.backend.where(condition, *operands)

    def backward(ctx, g: Any) -> Any:
        (condition,) = ctx.saved
        return (
            None,
            ctx.call(KeepWhere, g, condition) if ctx.needs_grad(1) else None,
            ctx.call(KeepWhere, g, ~condition) if ctx.needs_grad(2) else None,
        )


_WHERE_FORMS = (
    " * (Tensor condition)",
    " * (Tensor condition, Tensor input, Tensor other, *, Tensor out = None)",
    " * (Tensor condition, Number self, Tensor other)",
    " * (Tensor condition, Tensor input, Number other)",
    " * (Tensor condition, Number self, Number other)",
)


@public(method=False)
def where(
    condition: Tensor,
    input: Tensor | float | None = None,
    other: Tensor | float | None = None,
    *,
    out: Tensor | None = None,
) -> Any:
    """Elements of `input` where `condition` (bool) holds, else of `other`; broadcast.

    With the condition alone: the indices of its true elements, a tuple of one tensor a dimension.
    RuntimeError for a condition that is not bool.
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        given = [x for x in (condition, input, other) if x is not None]
        raise TypeError(no_such_form("where", given, _WHERE_FORMS))
    if condition._array.dtype.kind != "b":
        if condition.dtype.name != "uint8":
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{TYPE_NAMES[condition.dtype]}"
            )
        condition = cast(condition, bool_dtype)
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        target = promote_types(scalar_dtype(input), scalar_dtype(other))
        input = Tensor._wrap(condition.backend.asarray(input, target.np))
    y: Tensor = Where.apply(condition, input, other)
    return y if out is None else write_out(out, y, "where")


class Heaviside(Op):
    """0 for x < 0, 1 for x > 0 and y at 0; no derivative."""

    def forward(ctx, x: Array, y: Array) -> Array:
        if x.dtype != y.dtype:
            raise RuntimeError(
                "heaviside is not yet implemented for tensors with different dtypes."
            )
        return ctx.xp.where(x == 0, y, (x > 0).astype(x.dtype))

    differentiable = False


@public(method=True, inplace=True)
def heaviside(input: Tensor, values: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Step function: 0 below zero, 1 above, `values` (same dtype, broadcast) at zero."""
    y = Heaviside.apply(input, values)
    return y if out is None else write_out(out, y, "heaviside")


class Copysign(Op):
    """|x| with the sign of y, broadcast."""

    promotes = "float"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0)
        ctx.save_output()
        return ctx.xp.copysign(x, y)

    def backward(ctx, g: Any) -> Any:
        x, z = ctx.saved
        return g * ctx.F.sign(z) * ctx.F.sign(x), ctx.F.zeros_like(g)


@public(method=True, inplace=True)
def copysign(input: Tensor, other: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """Magnitude of `input` with the sign of `other`, broadcast."""
    y = Copysign.apply(input, other)
    return y if out is None else write_out(out, y, "copysign")


class Logaddexp(Op):
    """log(exp(x) + exp(y)) without overflow, broadcast."""

    promotes = "float"
    ufunc, exponential = "logaddexp", "exp"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        if ctx.backend.same_dtype_kind(x) == "c":
            return complex_logaddexp(x, y, ctx.xp)
        return getattr(ctx.xp, ctx.ufunc)(x, y)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        power = getattr(F, ctx.exponential)
        return g * F.conj(1 / (1 + power(y - x))), g * F.conj(1 / (1 + power(x - y)))


def complex_logaddexp(x: Array, y: Array, xp: Any) -> Array:
    """log(exp(x) + exp(y)) of complex numbers, from the one with the larger real part."""
    swapped = (x.real > y.real) | xp.isnan(x.real)
    low, high = xp.where(swapped, y, x), xp.where(swapped, x, y)
    z = xp.log1p(xp.exp(low - high)) + high
    same_infinity = xp.isinf(high.real) & (low.real == high.real)
    ends = xp.where(high.real < 0, low, xp.log(xp.exp(low) + xp.exp(high)))
    return xp.where(same_infinity, ends, z)


class Logaddexp2(Logaddexp):
    """log2(2^x + 2^y) without overflow, broadcast."""

    ufunc, exponential = "logaddexp2", "exp2"


@public(method=True)
def logaddexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Logarithm of the sum of the exponentials, broadcast."""
    y = Logaddexp.apply(input, other)
    return y if out is None else write_out(out, y, "logaddexp")


@public(method=True)
def logaddexp2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Logarithm of the sum of the exponentials, to base 2, broadcast."""
    y = Logaddexp2.apply(input, other)
    return y if out is None else write_out(out, y, "logaddexp2")
