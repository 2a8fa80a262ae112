"""Division with remainder: floor_divide, remainder and fmod."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.arithmetic import DivRounded, Operand, _refuse_integer_zero
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = ["floor_divide", "fmod", "remainder"]

Array = Any


@public(method=True, inplace=True)
def floor_divide(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Return ``input / other`` rounded down; RuntimeError for an integer division by zero."""
    y = DivRounded.apply(input, other, rounding="floor")
    return y if out is None else write_out(out, y, "floor_divide")


class Remainder(Op):
    """x - y * floor(x / y): the remainder with the sign of y."""

    promotes = "same"
    ufunc, rounding = "remainder", "floor"

    def forward(ctx, x: Array, y: Array) -> Array:
        _refuse_integer_zero(ctx.backend, x, y)
        ctx.save(0, 1)
        return getattr(ctx.xp, ctx.ufunc)(x, y)

    def backward(ctx, g: Any) -> Any:
        if not ctx.needs_grad(1):
            return g, None
        x, y = ctx.saved
        return g, -g * getattr(ctx.F, ctx.rounding)(x / y)


class Fmod(Remainder):
    """x - y * trunc(x / y): the remainder with the sign of x."""

    ufunc, rounding = "fmod", "trunc"


@public(method=True, inplace=True)
def remainder(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Remainder of the division with the sign of `other`, as Python's ``%``."""
    y = Remainder.apply(input, other)
    return y if out is None else write_out(out, y, "remainder")


@public(method=True, inplace=True)
def fmod(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Remainder of the division with the sign of `input`, as C's ``fmod``."""
    y = Fmod.apply(input, other)
    return y if out is None else write_out(out, y, "fmod")
