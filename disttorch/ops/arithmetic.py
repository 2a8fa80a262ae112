"""Arithmetic operators: add, sub, mul, div, neg, pow and their relatives."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.tensor import Tensor

__all__ = ["add", "div", "mul", "neg", "pow", "sub"]

Array = Any
Operand = Tensor | float


class Add(Op):
    """x + y, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        return x + y

    def backward(ctx, g: Any) -> Any:
        return g, g


@public(method=True, inplace=True)
def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """Return ``input + alpha * other``, broadcast; dtype by promotion."""
    return Add.apply(input, other if alpha == 1 else mul(other, alpha))


class Sub(Op):
    """x - y, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        return x - y

    def backward(ctx, g: Any) -> Any:
        return g, -g


@public(method=True, inplace=True)
def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """Return ``input - alpha * other``, broadcast; RuntimeError for bool tensors."""
    _refuse_bool(input, other)
    return Sub.apply(input, other if alpha == 1 else mul(other, alpha))


def _refuse_bool(input: Operand, other: Operand) -> None:
    kinds = [x._array.dtype.kind == "b" for x in (input, other) if isinstance(x, Tensor)]
    if kinds == [True, True]:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if any(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )


class Mul(Op):
    """x * y, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        return x * y

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        conj = ctx.F.conj
        return (
            g * conj(y) if ctx.needs_grad(0) else None,
            g * conj(x) if ctx.needs_grad(1) else None,
        )


@public(method=True, inplace=True)
def mul(input: Operand, other: Operand) -> Tensor:
    """Return ``input * other``, broadcast; dtype by promotion."""
    return Mul.apply(input, other)


class Div(Op):
    """x / y, true division; integers become the default floating dtype."""

    promotes = "float"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        return x / y

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        conj = ctx.F.conj
        gx = g / conj(y)
        return gx, -gx * conj(x / y) if ctx.needs_grad(1) else None


@public(method=True, inplace=True)
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """Return ``input / other``; `rounding_mode` None (true), "trunc" or "floor"."""
    return Div.apply(input, other)


class Neg(Op):
    """-x."""

    def forward(ctx, x: Array) -> Array:
        return -x

    def backward(ctx, g: Any) -> Any:
        return -g


@public(method=True, inplace=True)
def neg(input: Tensor) -> Tensor:
    """Return ``-input``; RuntimeError for bool tensors."""
    if input._array.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return Neg.apply(input)


class Pow(Op):
    """x ** y, broadcast."""

    promotes = "same"

    def forward(ctx, x: Array, y: Array) -> Array:
        ctx.save(0, 1)
        ctx.save_output()
        return x**y

    def backward(ctx, g: Any) -> Any:
        x, y, z = ctx.saved
        F = ctx.F
        gx = g * F.conj(y * x ** (y - 1)) if ctx.needs_grad(0) else None
        if not ctx.needs_grad(1):
            return gx, None
        zero_base = (x == 0) & (y >= 0)
        log_x = F.log(F.where(zero_base, F.ones_like(z), x))
        return gx, g * F.conj(z * log_x)


@public(method=True, inplace=True)
def pow(input: Operand, exponent: Operand) -> Tensor:
    """Return ``input ** exponent``; RuntimeError for integers to negative integer powers."""
    return Pow.apply(input, exponent)
