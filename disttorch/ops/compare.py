"""Comparisons, logic and tests for NaN and infinity: results are bool and carry no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import ALL_KINDS, quick
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = [
    *("allclose", "eq", "equal", "ge", "greater", "greater_equal", "gt", "isclose", "isfinite"),
    *("isinf", "isnan", "isneginf", "isposinf", "isreal", "le", "less", "less_equal"),
    *("logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne", "not_equal"),
    "signbit",
]

Array = Any
Operand = Tensor | float


class Compare(Op):
    """A comparison of x and y, broadcast."""

    promotes = "same"
    differentiable = False
    pointwise = ("forward",)
    kernel: ClassVar[str | None]  # PyTorch's, of those that refuse complex numbers

    def forward(ctx, x: Array, y: Array) -> Array:
        if ctx.kernel is not None:
            refuse_kinds(x if isinstance(x, ctx.backend.array_type) else y, "c", ctx.kernel)
        return getattr(ctx.xp, ctx.ufunc)(x, y)


class Logical(Op):
    """A logical operation on x != 0 and y != 0, broadcast."""

    differentiable = False
    pointwise = ("forward",)

    def forward(ctx, *arrays: Array, ufunc: str) -> Array:
        return getattr(ctx.xp, ufunc)(*arrays)


COMPARISONS: dict[str, type[Op]] = {}


def _comparison(name: str, ufunc: str, meaning: str, ordered: bool = True) -> Callable[..., Tensor]:
    """A public comparison; `ordered` ones are not defined for complex numbers."""
    kernel = f"{name}_cpu" if ordered else None
    op = type(name.title(), (Compare,), {"ufunc": ufunc, "kernel": kernel})
    COMPARISONS[name] = quick(2, "fViub" if ordered else ALL_KINDS)(op)
    apply = op.apply

    def function(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
        y: Tensor = apply(input, other)
        return y if out is None else write_out(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Whether ``input {meaning} other`` for each pair of elements; bool."
    return public(method=True, inplace=True)(function)


eq = _comparison("eq", "equal", "==", ordered=False)
ne = _comparison("ne", "not_equal", "!=", ordered=False)
lt = _comparison("lt", "less", "<")
le = _comparison("le", "less_equal", "<=")
gt = _comparison("gt", "greater", ">")
ge = _comparison("ge", "greater_equal", ">=")
not_equal = _comparison("not_equal", "not_equal", "!=", ordered=False)
less = _comparison("less", "less", "<")
less_equal = _comparison("less_equal", "less_equal", "<=")
greater = _comparison("greater", "greater", ">")
greater_equal = _comparison("greater_equal", "greater_equal", ">=")


def _logical(name: str, meaning: str) -> Callable[..., Tensor]:
    """A public logical operator of two tensors."""

    def function(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        y: Tensor = Logical.apply(input, other, ufunc=name)
        return y if out is None else write_out(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Whether {meaning} for each pair of elements (0 is false), broadcast; bool."
    return public(method=True, inplace=True)(function)


logical_and = _logical("logical_and", "both are true")
logical_or = _logical("logical_or", "at least one is true")
logical_xor = _logical("logical_xor", "exactly one is true")


def _test(name: str, ufunc: str, meaning: str, kinds: str = "fcV") -> Callable[..., Tensor]:
    """A public test of each element; False at once for dtypes of other kinds than `kinds`."""

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if input._array.dtype.kind in kinds:
            y = Logical.apply(input, ufunc=ufunc)
        else:
            y = Tensor._wrap(input.backend.xp.full(input._array.shape, name == "isfinite", bool))
        return y if out is None else write_out(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Whether each element {meaning}; bool."
    return public(method=True)(function)


isnan = _test("isnan", "isnan", "is NaN")
isinf = _test("isinf", "isinf", "is infinite")
isfinite = _test("isfinite", "isfinite", "is neither infinite nor NaN")
isposinf = _test("isposinf", "isposinf", "is positive infinity", kinds="fV")
isneginf = _test("isneginf", "isneginf", "is negative infinity", kinds="fV")
signbit = _test("signbit", "signbit", "has its sign bit set", kinds="ifV")


@public(method=True, inplace=True)
def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether each element is 0; bool."""
    y: Tensor = Logical.apply(input, ufunc="logical_not")
    return y if out is None else write_out(out, y, "logical_not")


@public(method=True)
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part of each element is 0; bool."""
    return Tensor._wrap(input.backend.asarray(input._array.imag == 0))


@public(method=True)
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, broadcast; bool.

    RuntimeError for tensors of different dtypes and for negative tolerances.
    """
    if input.dtype is not other.dtype:
        names = TYPE_NAMES[input.dtype], TYPE_NAMES[other.dtype]
        raise RuntimeError("{} did not match {}".format(*names))
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(
                f"{name} must be greater than or equal to zero, but got {tolerance:g}"
            )
    xp, x, y = input.backend.xp, input._array, other._array
    close = x == y
    if equal_nan and x.dtype.kind in "fcV":
        close = close | (xp.isnan(x) & xp.isnan(y))
    if rtol or atol:
        if x.dtype.kind in "biu":
            x, y = x.astype("float64"), y.astype("float64")
        near = xp.abs(x - y) <= atol + xp.abs(rtol * y)
        close = close | (near & xp.isfinite(x - y))
    return Tensor._wrap(input.backend.asarray(close))


@public(method=True)
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether all pairs of elements are close; see `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


@public(method=True)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and equal elements."""
    if input._array.shape != other._array.shape:
        return False
    return bool((input._array == other._array).all())
