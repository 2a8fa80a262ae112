"""Divisors and multiples of whole numbers: gcd and lcm."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = ["gcd", "lcm"]

Array = Any


class Divisor(Op):
    """Greatest common divisor or least common multiple of x and y, broadcast."""

    promotes = "same"
    differentiable = False

    def forward(ctx, x: Array, y: Array, ufunc: str) -> Array:
        refuse_kinds(x, "bfcV", f"{ufunc}_cpu")
        return getattr(ctx.xp, ufunc)(x, y)


@public(method=True, inplace=True)
def gcd(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Greatest common divisor, never negative, broadcast; NotImplementedError unless integers."""
    y = Divisor.apply(input, other, ufunc="gcd")
    return y if out is None else write_out(out, y, "gcd")


@public(method=True, inplace=True)
def lcm(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Least common multiple, never negative, broadcast; NotImplementedError unless integers."""
    y = Divisor.apply(input, other, ufunc="lcm")
    return y if out is None else write_out(out, y, "lcm")
