"""Arithmetic operators: add, sub, mul, div, neg, pow and their relatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import Op, PointwiseOp, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.backends.precision import is_short
from disttorch.dtype import float32
from disttorch.ops.arguments import refuse_subtracted_number
from disttorch.ops.cast import cast
from disttorch.ops.older_order import number_first
from disttorch.ops.out import write_out
from disttorch.ops.pointwise import function_of
from disttorch.tensor import Tensor

__all__ = [
    *("add", "div", "divide", "mul", "multiply", "neg", "negative", "positive", "pow", "rsub"),
    *("sub", "subtract", "true_divide"),
]

Array = Any
Operand = Tensor | float


@quick(2)
class Add(Op):
    """x + y, broadcast."""

    promotes, ufunc = "same", "add"
    pointwise = ("forward",)

    def forward(ctx, x: Array, y: Array) -> Array:
        return x + y

    def backward(ctx, g: Any) -> Any:
        return g, g


@public(method=True, inplace=True)
def add(
    input: Operand,
    other: Operand,
    after: Any = None,
    *,
    alpha: float = 1,
    out: Tensor | None = None,
) -> Tensor:
    """Return ``input + alpha * other``, broadcast; dtype by promotion.

    `after`: the tensor where `other` is alpha, as before PyTorch 1.5.
    """
    if after is not None:
        alpha, (other,) = number_first("add", "alpha", other, (after,))  # type: ignore[assignment]
    y = Add.apply(input, other) if alpha == 1 else _with_factor(Add, input, other, alpha)
    return y if out is None else write_out(out, y, "add")


def _with_factor(op: type[Op], input: Operand, other: Operand, alpha: float) -> Tensor:
    """Apply `op` to `input` and `other * alpha`; a product of 16-bit floats is not rounded."""
    if isinstance(input, Tensor) and isinstance(other, Tensor) and is_short(other._array):
        own, kind = input.dtype, other.dtype
        if own is kind:
            wide = cast(input, float32), cast(other, float32)
            return cast(op.apply(wide[0], _scaled(*wide, alpha)), kind)
        if own is float32 and input.ndim:
            other = cast(other, float32)
    return op.apply(input, _scaled(input, other, alpha))  # type: ignore[no-any-return]


def _scaled(input: Operand, other: Operand, alpha: float) -> Operand:
    """`other * alpha`; RuntimeError for an alpha of a higher kind than the operands."""
    kinds = {x._array.dtype.kind for x in (input, other) if isinstance(x, Tensor)}
    if isinstance(alpha, float) and kinds <= set("iub"):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if isinstance(alpha, bool) and kinds != {"b"}:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    return mul(other, alpha) if isinstance(other, Tensor) else other * alpha


@quick(2, "fcViu")
class Sub(Op):
    """x - y, broadcast."""

    promotes, ufunc = "same", "subtract"
    pointwise = ("forward",)

    @classmethod
    def apply(cls, *inputs: Any, **params: Any) -> Any:
        """Subtract; RuntimeError for bool tensors."""
        _refuse_bool(*inputs)
        return super().apply(*inputs, **params)

    def forward(ctx, x: Array, y: Array) -> Array:
        return x - y

    def backward(ctx, g: Any) -> Any:
        return g, -g if ctx.needs_grad(1) else None


@public(method=True, inplace=True)
def sub(
    input: Operand,
    other: Operand,
    after: Any = None,
    *,
    alpha: float = 1,
    out: Tensor | None = None,
) -> Tensor:
    """Return ``input - alpha * other``, broadcast; RuntimeError for bool tensors.

    `after`: the tensor where `other` is alpha, as before PyTorch 1.5.
    """
    if after is not None:
        alpha, (other,) = number_first("sub", "alpha", other, (after,))  # type: ignore[assignment]
    y = Sub.apply(input, other) if alpha == 1 else _with_factor(Sub, input, other, alpha)
    return y if out is None else write_out(out, y, "sub")


def _is_bool(x: Operand) -> bool:
    return x._array.dtype.kind == "b" if isinstance(x, Tensor) else isinstance(x, bool)


def _refuse_bool(input: Operand, other: Operand) -> None:
    """Raise PyTorch's errors for subtraction with masks."""
    kinds = [_is_bool(input), _is_bool(other)]
    if not any(kinds):
        return
    if all(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    raise RuntimeError(
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
        "to invert a mask, use the `~` or `logical_not()` operator instead."
    )


@public(method=True, inplace=True)
def subtract(
    input: Operand, other: Operand, *, alpha: float = 1, out: Tensor | None = None
) -> Tensor:
    """Alias of `sub`."""
    return sub(input, other, alpha=alpha, out=out)


@public()
def rsub(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """Return ``other - alpha * input``, broadcast; RuntimeError for bool tensors."""
    refuse_subtracted_number(input, other)
    return sub(other, input, alpha=alpha)


@quick(2, keeps="input")
class Mul(PointwiseOp):
    """x * y, broadcast."""

    promotes = "same"
    saved_for = ((1,), (0,))
    ufunc = "multiply"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        return x * y

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        # Sooner than `needs_grad` and `conj` for each: this is the commonest of all formulas.
        to_x, to_y = ctx.edges
        if ctx.metas[0][1].kind == "c":
            conj = ctx.F.conj
            return None if to_x is None else g * conj(y), None if to_y is None else g * conj(x)
        return None if to_x is None else g * y, None if to_y is None else g * x


@public(method=True, inplace=True)
def mul(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Return ``input * other``, broadcast; dtype by promotion."""
    y = Mul.apply(input, other)
    return y if out is None else write_out(out, y, "mul")


@public(method=True, inplace=True)
def multiply(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Alias of `mul`."""
    return mul(input, other, out=out)


@quick(2, "fcV", keeps="input")
class Div(PointwiseOp):
    """x / y, true division; integers become the default floating dtype."""

    promotes, ufunc = "float", "divide"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        return x / y

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        conj = ctx.F.conj
        gx = g / conj(y)
        return gx, -gx * conj(x / y) if ctx.needs_grad(1) else None


class DivRounded(Op):
    """x / y rounded down ("floor") or toward zero ("trunc"); the derivative is 0."""

    promotes = "same"
    torch_name = "DivBackward1"

    def forward(ctx, x: Array, y: Array, rounding: str) -> Array:
        _refuse_integer_zero(ctx.backend, x, y)
        floor = ctx.xp.floor_divide(x, y)
        if rounding == "floor":
            return floor
        if ctx.backend.same_dtype_kind(floor) == "f":
            return ctx.xp.trunc(x / y)
        inexact = ctx.xp.remainder(x, y) != 0
        return floor + (inexact & ((x < 0) != (y < 0))).astype(floor.dtype)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.zeros_like(g), ctx.F.zeros_like(g)


def _refuse_integer_zero(backend: Any, x: Array, y: Array) -> None:
    """Raise PyTorch's error for an integer division by zero."""
    kinds = {a.dtype.kind for a in (x, y) if isinstance(a, backend.array_type)}
    if kinds <= set("iub") and bool((backend.asarray(y) == 0).any()):
        raise RuntimeError("ZeroDivisionError")


@public(method=True, inplace=True)
def div(
    input: Operand,
    other: Operand,
    *,
    rounding_mode: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Return ``input / other``; `rounding_mode` None (true), "trunc" or "floor".

    Integers divide to the default floating dtype, except when rounded. RuntimeError for another
    `rounding_mode` and for a rounded integer division by zero.
    """
    if rounding_mode is None:
        y = Div.apply(input, other)
    elif rounding_mode in {"floor", "trunc"}:
        y = DivRounded.apply(input, other, rounding=rounding_mode)
    else:
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    return y if out is None else write_out(out, y, "div")


@public(method=True, inplace=True)
def divide(
    input: Operand,
    other: Operand,
    *,
    rounding_mode: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Alias of `div`."""
    return div(input, other, rounding_mode=rounding_mode, out=out)


@public(method=True, inplace=True)
def true_divide(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """Return ``input / other``; integers become the default floating dtype."""
    return div(input, other, out=out)


@quick(1, "fcViu")
class Neg(PointwiseOp):
    """-x; RuntimeError for bool tensors."""

    ufunc = "negative"

    def forward(ctx, x: Array) -> Array:
        if x.dtype.kind == "b":
            raise RuntimeError(
                "Negation, the `-` operator, on a bool tensor is not supported. If you are trying "
                "to invert a mask, use the `~` or `logical_not()` operator instead."
            )
        return -x

    def backward(ctx, g: Any) -> Any:
        return -g


neg = function_of(Neg)
negative = function_of(Neg, name="negative")


@public(method=True)
def positive(input: Tensor) -> Tensor:
    """Return `input` itself; RuntimeError for bool tensors."""
    if input._array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


class Pow(PointwiseOp):
    """x ** y, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        if not isinstance(y, ctx.backend.array_type):
            return _power(x, y)
        ctx.save_output()
        if y.dtype.kind != "i":
            return x**y
        # The array library refuses negative integers here; 1 / x rounds to 0 except for +-1.
        signs = ctx.xp.where(y % 2 == 0, 1, x) * ((x == 1) | (x == -1))
        return ctx.xp.where(y < 0, signs, x ** ctx.xp.maximum(y, 0)).astype(y.dtype)

    def backward(ctx, g: Any) -> Any:
        x, y, *output = ctx.saved
        F = ctx.F
        gx = g * F.conj(_power_slope(F, x, y)) if ctx.needs_grad(0) else None
        if not ctx.needs_grad(1):
            return gx, None
        (z,) = output
        # The derivative of 0 ** y is 0 for y >= 0, where log(0) would make it NaN.
        zero_base = (x == 0) & (F.real(y) >= 0)
        log_x = F.log(F.where(zero_base, F.ones_like(z), x * F.ones_like(z)))
        return gx, g * F.conj(z * log_x)


@quick(1, "f", keeps="input", settings=True)
class PowNumber(Pow, overload="PowBackward0"):
    """To an exponent that is a number."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of an array and the exponent."""
        return _power


class PowTensor(Pow, overload="PowBackward1"):
    """To exponents in a tensor."""


class PowOfNumber(Pow, overload="PowBackward2"):
    """Of a number, to exponents in a tensor."""


def _power(x: Array, y: Any) -> Array:
    if y == 3:
        cube = x * x
        cube *= x
        return cube
    return _whole_power(x, y)


def _whole_power(x: Any, y: complex) -> Any:
    """Return x ** y; small whole powers by products, 50 times faster than the library's pow."""
    if y == 2:
        return x * x
    if y == 3:
        return x * x * x
    if y == 4:
        square = x * x
        return square * square
    return x**y


def _power_slope(F: Any, x: Any, y: Any) -> Any:
    """d(x ** y)/dx, which is 0 for y = 0 even where x ** -1 is infinite."""
    if type(y).__name__ == "bfloat16":  # a number beside bfloat16, which recorded formulas refuse
        y = float(y)
    if isinstance(y, (int, float, complex)):
        return y * _whole_power(x, y - 1) if y != 0 else F.zeros_like(x)
    is_zero = y == 0
    return F.where(is_zero, F.zeros_like(y), y * x ** F.where(is_zero, F.ones_like(y), y - 1))


@public(method=True, inplace=True)
def pow(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """Return ``input ** exponent``; RuntimeError for integers to a negative integer power."""
    if isinstance(exponent, int) and exponent < 0 and isinstance(input, Tensor):
        if input._array.dtype.kind in "iub":
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    op = PowTensor if isinstance(input, Tensor) else PowOfNumber
    y = (op if isinstance(exponent, Tensor) else PowNumber).apply(input, exponent)
    return y if out is None else write_out(out, y, "pow")
