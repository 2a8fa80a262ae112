"""Functions of one number applied to each element: how they are declared; exp, log and powers."""

from __future__ import annotations

from collections.abc import Callable
from math import log as ln
from typing import Any, ClassVar

from disttorch.autograd.op import Op, PointwiseOp, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = [
    *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"),
    "square",
]

Array = Any


class Pointwise(PointwiseOp):
    """y = f(x) for each element; integers become the default floating dtype.

    A subclass names the array library's function as `ufunc` (or overrides `compute`) and gives the
    derivative as `slope` of the input or, with `from_output`, of the output, whichever is cheaper.
    """

    promotes = "float"
    heavy = ("forward",)
    from_output: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.forward is Pointwise.forward:
            quick(1, "f", "output" if cls.from_output else "input")(cls)

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return f for arrays of `backend`."""
        if cls.compute is Pointwise.compute:
            return super().array_function(backend)
        ctx = cls(backend)
        ctx.F = backend.F
        return ctx.compute

    def forward(ctx, x: Array) -> Array:
        if ctx.from_output:
            ctx.save_output()
        else:
            ctx.save(0)
        return ctx.compute(x)

    def compute(ctx, x: Array) -> Array:
        """Return f(x)."""
        return getattr(ctx.backend.xp, ctx.ufunc)(x)

    def slope(ctx, kept: Any) -> Any:
        """Return f'(x), given the input or the output."""
        raise NotImplementedError

    def backward(ctx, g: Any) -> Any:
        (kept,) = ctx.saved
        return g * ctx.F.conj(ctx.slope(kept))


def function_of(
    op: type[Op], *, inplace: bool = True, name: str | None = None
) -> Callable[..., Tensor]:
    """Return the public function, method and in-place method of an op with one input."""
    apply = op.apply

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        y: Tensor = apply(input)
        return y if out is None else write_out(out, y, function.__name__)

    function.__name__ = function.__qualname__ = name or op.op_name.lower()
    function.__doc__ = f"Apply to each element: {op.__doc__}"
    return public(method=True, inplace=inplace)(function)


class Exp(Pointwise):
    """e to the power x."""

    ufunc, from_output = "exp", True

    def slope(ctx, y: Any) -> Any:
        return y


exp = function_of(Exp)


class Exp2(Pointwise):
    """2 to the power x."""

    ufunc, from_output = "exp2", True

    def slope(ctx, y: Any) -> Any:
        return y * ln(2)


exp2 = function_of(Exp2)


class Expm1(Pointwise):
    """exp(x) - 1, exact near 0."""

    from_output = True

    def compute(ctx, x: Array) -> Array:
        return ctx.backend.expm1(x)

    def slope(ctx, y: Any) -> Any:
        return y + 1


expm1 = function_of(Expm1)


class Log(Pointwise):
    """Natural logarithm."""

    ufunc = "log"

    def slope(ctx, x: Any) -> Any:
        return 1 / x


log = function_of(Log)


class Log2(Pointwise):
    """Logarithm to base 2."""

    ufunc = "log2"

    def slope(ctx, x: Any) -> Any:
        return 1 / (x * ln(2))


log2 = function_of(Log2)


class Log10(Pointwise):
    """Logarithm to base 10."""

    ufunc = "log10"

    def slope(ctx, x: Any) -> Any:
        return 1 / (x * ln(10))


log10 = function_of(Log10)


class Log1p(Pointwise):
    """log(1 + x), exact near 0."""

    torch_name = "Log1PBackward0"

    def compute(ctx, x: Array) -> Array:
        return ctx.backend.log1p(x)

    def slope(ctx, x: Any) -> Any:
        return 1 / (x + 1)


log1p = function_of(Log1p)


class Sqrt(Pointwise):
    """Square root; NaN below 0."""

    ufunc, from_output, heavy = "sqrt", True, ()

    def slope(ctx, y: Any) -> Any:
        return 0.5 / y


sqrt = function_of(Sqrt)


class Rsqrt(Pointwise):
    """1 / sqrt(x)."""

    from_output, heavy = True, ()

    def compute(ctx, x: Array) -> Array:
        return 1 / ctx.xp.sqrt(x)

    def slope(ctx, y: Any) -> Any:
        return -0.5 * y * y * y


rsqrt = function_of(Rsqrt)


class Reciprocal(Pointwise):
    """1 / x."""

    from_output, heavy = True, ()

    def compute(ctx, x: Array) -> Array:
        return 1 / x

    def slope(ctx, y: Any) -> Any:
        return -y * y


reciprocal = function_of(Reciprocal)


class Square(Pointwise):
    """x * x; integers stay integers, bools become int64."""

    promotes, torch_name, heavy = "same", "PowBackward0", ()

    def compute(ctx, x: Array) -> Array:
        return x.astype("int64") if x.dtype.kind == "b" else x * x

    def slope(ctx, x: Any) -> Any:
        return 2 * x


square = function_of(Square)
