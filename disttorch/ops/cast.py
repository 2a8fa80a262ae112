"""Changing dtype or device, copying, and taking complex numbers apart."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import dtype as Dtype
from disttorch.dtype import from_numpy_dtype
from disttorch.tensor import Tensor

__all__ = ["clone", "conj", "real"]

Array = Any


class Cast(Op):
    """x in another dtype; a copy only if it differs."""

    torch_name = "ToCopyBackward0"

    def forward(ctx, x: Array, np_dtype: Any) -> Array:
        return x.astype(np_dtype)

    def backward(ctx, g: Any) -> Any:
        return g  # the engine casts it back to the input's dtype


def cast(input: Tensor, dtype: Dtype) -> Tensor:
    """Return `input` in `dtype`: itself if it has it, else a copy."""
    return input if input._array.dtype == dtype.np else Cast.apply(input, np_dtype=dtype.np)


def cast_array_dtype(input: Tensor, np_dtype: Any) -> Tensor:
    """Cast to an array dtype; complex to real drops the imaginary part."""
    if input.is_complex() and np_dtype.kind != "c":
        input = real(input)
    return cast(input, from_numpy_dtype(np_dtype))


class Clone(Op):
    """A copy of x."""

    def forward(ctx, x: Array) -> Array:
        return ctx.xp.array(x, order="K")

    def backward(ctx, g: Any) -> Any:
        return g


@public(method=True)
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """Return a copy that gradients flow through."""
    return Clone.apply(input)


class Conj(Op):
    """Complex conjugate."""

    def forward(ctx, x: Array) -> Array:
        return ctx.xp.conj(x)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.conj(g)


@public(method=True)
def conj(input: Tensor) -> Tensor:
    """Return the complex conjugate; a real tensor comes back as it is."""
    return Conj.apply(input) if isinstance(input, Tensor) and input.is_complex() else input


class Real(Op):
    """Real part of a complex x."""

    view = True

    def forward(ctx, x: Array) -> Array:
        return x.real

    def backward(ctx, g: Any) -> Any:
        return g  # the engine casts it to the input's complex dtype


@public(method=True)
def real(input: Tensor) -> Tensor:
    """Return the real part, a view; a real tensor comes back as it is."""
    return Real.apply(input) if input.is_complex() else input
