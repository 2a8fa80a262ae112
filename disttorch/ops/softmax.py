"""Softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast import cast
from disttorch.ops.out import write_out
from disttorch.tensor import Tensor

__all__ = ["log_softmax", "softmax"]

Array = Any


@quick(1, "f", keeps="output", settings=True)
class Softmax(Op):
    """exp(x) over its sum along `dim`."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Array]:
        """Return the function of an array and `dim`."""
        return backend.softmax

    def forward(ctx, x: Array, dim: int) -> Array:
        ctx.dim = dim
        ctx.save_output()
        return ctx.backend.softmax(x, dim)

    def backward(ctx, g: Any) -> Any:
        (y,) = ctx.saved
        if not ctx.F.recorded:
            return ctx.backend.softmax_backward(g, y, ctx.dim)
        gy = g * y
        return gy - y * ctx.F.sum(gy, ctx.dim, True)


@quick(1, "f", keeps="output", settings=True)
class LogSoftmax(Op):
    """x minus the logarithm of the sum of exp(x) along `dim`."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Array]:
        """Return the function of an array and `dim`."""
        return backend.log_softmax

    def forward(ctx, x: Array, dim: int) -> Array:
        ctx.dim = dim
        ctx.save_output()
        return ctx.backend.log_softmax(x, dim)

    def backward(ctx, g: Any) -> Any:
        (y,) = ctx.saved
        if not ctx.F.recorded:
            return ctx.backend.log_softmax_backward(g, y, ctx.dim)
        return g - ctx.F.exp(y) * ctx.F.sum(g, ctx.dim, True)


def _prepared(input: Tensor, dim: int, dtype: Dtype | None, name: str) -> tuple[Tensor, int]:
    """Cast, check dtype and dimension; a 0-d tensor counts as one of length 1."""
    if dtype is not None:
        input = cast(input, dtype)
    dim = input._dim(dim)
    if input._array.dtype.kind not in "fcV":
        last = "_lastdim" if dim >= input.ndim - 1 else ""
        raise NotImplementedError(
            f"\"{name}{last}_kernel_impl\" not implemented for '{TYPE_NAMES[input.dtype]}'"
        )
    return input, dim


@public(method=True)
def softmax(
    input: Tensor, dim: int, dtype: Dtype | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Return exp(input) normalised to sum 1 along `dim`; computed in `dtype` if given.

    Raises NotImplementedError for integers, IndexError for a `dim` out of range.
    """
    x, dim = _prepared(input, dim, dtype, "softmax")
    if not x._array.ndim:
        y = Softmax.apply(x.reshape(1), dim=0).reshape(())
    else:
        y = Softmax.apply(x, dim=dim)
    return y if out is None else write_out(out, y, "softmax")


@public(method=True)
def log_softmax(
    input: Tensor, dim: int, dtype: Dtype | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Return log(softmax(input, dim)), computed without overflow or loss of digits."""
    x, dim = _prepared(input, dim, dtype, "log_softmax")
    if not x._array.ndim:
        y = LogSoftmax.apply(x.reshape(1), dim=0).reshape(())
    else:
        y = LogSoftmax.apply(x, dim=dim)
    return y if out is None else write_out(out, y, "log_softmax")
