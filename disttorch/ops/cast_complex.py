"""Complex numbers: real and imaginary parts, conjugates, views as pairs of reals."""

from __future__ import annotations

import functools
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.out import accepts_out
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.tensor import Tensor

__all__ = [
    *("complex", "conj", "conj_physical", "imag", "is_complex", "is_conj", "is_floating_point"),
    *("polar", "real", "resolve_conj", "resolve_neg", "view_as_complex", "view_as_real"),
]

Array = Any


class Conj(Op):
    """Complex conjugate."""

    def forward(ctx, x: Array) -> Array:
        return ctx.xp.conj(x)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.conj(g)


@public(method=True)
def conj(input: Tensor) -> Tensor:
    """Return the complex conjugate; a real tensor comes back as it is."""
    if not isinstance(input, Tensor):  # a number that a formula saved
        return input.conjugate()
    return Conj.apply(input) if input.is_complex() else input


@public(method=True, inplace=True)
@accepts_out
def conj_physical(input: Tensor) -> Tensor:
    """Return the complex conjugate; here it is the same as `conj`."""
    return conj(input)


@public(method=True)
def resolve_conj(input: Tensor) -> Tensor:
    """Return the tensor: conjugation is never postponed here."""
    return input


@public(method=True)
def resolve_neg(input: Tensor) -> Tensor:
    """Return the tensor: negation is never postponed here."""
    return input


@public(method=True)
def is_conj(input: Tensor) -> bool:
    """Whether conjugation is postponed: never."""
    return False


class Real(Op):
    """Real part of a complex x, a view."""

    view = True

    def forward(ctx, x: Array) -> Array:
        return x.real

    def backward(ctx, g: Any) -> Any:
        return g  # the engine casts it to the input's complex dtype


@public(attribute=True)
def real(input: Tensor) -> Tensor:
    """Return the real part, a view; a real tensor comes back as it is."""
    return Real.apply(input) if input.is_complex() else input


class Imag(Op):
    """Imaginary part of a complex x, a view."""

    view = True

    def forward(ctx, x: Array) -> Array:
        return x.imag

    def backward(ctx, g: Any) -> Any:
        return ctx.F.complex(ctx.F.zeros_like(g), g)


@public(attribute=True)
def imag(input: Tensor) -> Tensor:
    """Return the imaginary part, a view; RuntimeError for a real tensor."""
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return Imag.apply(input)


class MakeComplex(Op):
    """real + i imag."""

    torch_name = "ComplexBackward0"

    def forward(ctx, x: Array, y: Array) -> Array:
        shape = broadcast_shapes_checked(x.shape, y.shape)
        out = ctx.xp.empty(shape, "complex64" if x.dtype.itemsize == 4 else "complex128")
        out.real, out.imag = x, y
        return out

    def backward(ctx, g: Any) -> Any:
        return ctx.F.real(g), ctx.F.imag(g)


@public()
@functools.partial(
    accepts_out,
    casts="Expected object of scalar type {result} but got scalar type {out} for argument 'out'",
)
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """Complex tensor from its real and imaginary part, broadcast, both float32 or float64.

    Raises RuntimeError if the two have different dtypes or another one.
    """
    _check_tensors("complex", real=real, imag=imag)
    a, b = real.dtype, imag.dtype
    if a.name not in ("float32", "float64") or b.name not in ("float32", "float64"):
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{TYPE_NAMES[a]} and {TYPE_NAMES[b]}"
        )
    if a is not b:
        raise RuntimeError(
            f"Expected object of scalar type {TYPE_NAMES[a]} but got scalar type {TYPE_NAMES[b]} "
            "for second argument"
        )
    return MakeComplex.apply(real, imag)


def _check_tensors(function: str, **given: Any) -> None:
    for position, (name, value) in enumerate(given.items(), 1):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{function}(): argument '{name}' (position {position}) must be Tensor, not "
                f"{type(value).__name__}"
            )


@public()
@accepts_out
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex tensor from absolute values and angles in radians."""
    _check_tensors("polar", abs=abs, angle=angle)
    return complex(abs * angle.cos(), abs * angle.sin())


def _real_dtype(np_dtype: Any) -> str:
    return "float32" if np_dtype.itemsize == 8 else "float64"


class ViewAsReal(Op):
    """Complex (*) as reals (*, 2), a view."""

    view = True

    def forward(ctx, x: Array) -> Array:
        if x.flags.c_contiguous or not x.size:
            return x.reshape((*x.shape, 1)).view(_real_dtype(x.dtype))
        return x[..., None].view(_real_dtype(x.dtype))

    def backward(ctx, g: Any) -> Any:
        return ctx.call(PairsToComplex, g)


class PairsToComplex(Op):
    """Reals (*, 2) as complex (*): a view where memory allows, else a copy."""

    torch_name = "ViewAsComplexBackward0"
    view = True
    may_copy = True

    def forward(ctx, x: Array) -> Array:
        kind = "complex64" if x.dtype.itemsize == 4 else "complex128"
        if x.strides[-1] != x.dtype.itemsize:
            x = ctx.xp.ascontiguousarray(x)
        return x.view(kind)[..., 0]

    def backward(ctx, g: Any) -> Any:
        return ctx.call(ViewAsReal, g)


@public()
def view_as_real(input: Tensor) -> Tensor:
    """View complex (*) as reals (*, 2); RuntimeError for a real tensor."""
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return ViewAsReal.apply(input)


@public()
def view_as_complex(input: Tensor) -> Tensor:
    """View reals (*, 2) as complex (*); RuntimeError for other shapes, dtypes and strides."""
    if input.dtype.name not in ("float32", "float64"):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {TYPE_NAMES[input.dtype]}"
        )
    if input.ndim == 0:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    strides = input.stride()
    if strides[-1] != 1 and input.numel():
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return PairsToComplex.apply(input)


@public()
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    _check_tensors("is_complex", input=input)
    return input.dtype.is_complex


@public()
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating one."""
    _check_tensors("is_floating_point", input=input)
    return input.dtype.is_floating_point
