"""Modified Bessel functions of the first kind: i0 and what its derivatives are made of."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.pointwise import Pointwise, function_of

__all__ = ["i0"]

Array = Any


class LibraryFunction(Pointwise):
    """Base of functions that the device's scientific library computes, under the name `ufunc`."""

    kernel = ""  # PyTorch's name of the operator, in errors

    def compute(ctx, x: Array) -> Array:
        refuse_kinds(x, "c", ctx.kernel or ctx.ufunc)
        return ctx.backend.library_function(ctx.ufunc, x)


class I0(LibraryFunction):
    """Modified Bessel function of the first kind, order 0."""

    ufunc, kernel = "i0", "i0_vml_cpu"

    def slope(ctx, x: Any) -> Any:
        return ctx.call(I1, x)


class I1(LibraryFunction):
    """Modified Bessel function of the first kind, order 1."""

    ufunc, torch_name = "i1", "SpecialI1Backward0"

    def slope(ctx, x: Any) -> Any:
        return ctx.call(I0, x) - _over(ctx.F, ctx.call(I1, x), x)


class I0e(LibraryFunction):
    """exp(-|x|) times the modified Bessel function of the first kind, order 0."""

    ufunc, torch_name = "i0e", "SpecialI0EBackward0"

    def slope(ctx, x: Any) -> Any:
        return ctx.call(I1e, x) - ctx.F.sign(x) * ctx.call(I0e, x)


class I1e(LibraryFunction):
    """exp(-|x|) times the modified Bessel function of the first kind, order 1."""

    ufunc, torch_name = "i1e", "SpecialI1EBackward0"

    def slope(ctx, x: Any) -> Any:
        y = ctx.call(I1e, x)
        return ctx.call(I0e, x) - ctx.F.sign(x) * y - _over(ctx.F, y, x)


def _over(F: Any, y: Any, x: Any) -> Any:
    """Quotient y / x, and the limit 1 / 2 at 0."""
    zero = x == 0
    return F.where(zero, F.zeros_like(x) + 0.5, y / F.where(zero, F.ones_like(x), x))


i0 = function_of(I0)
i1, i0e, i1e = (public(function=False)(function_of(op, inplace=False)) for op in (I1, I0e, I1e))
