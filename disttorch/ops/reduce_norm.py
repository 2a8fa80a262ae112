"""Norms and log-sum-exp over dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from disttorch.autograd.inplace import overwrite
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES
from disttorch.dtype import dtype as Dtype
from disttorch.ops.arithmetic import mul, sub
from disttorch.ops.cast import cast, clone
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise_bounds import where
from disttorch.ops.reduce import Dims, normalized_dims, restore_dims
from disttorch.tensor import Tensor

__all__ = ["dist", "logsumexp", "norm", "renorm", "renorm_"]

Array = Any


@quick(1, "f", keeps="both", settings=True)
class Norm(Op):
    """(sum |x|^p)^(1/p) over dims; the largest, smallest or number of |x| for p inf, -inf, 0."""

    torch_name = "LinalgVectorNormBackward0"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the norm over dims."""
        return partial(_norm, backend)

    def forward(ctx, x: Array, p: float, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.save(0)
        ctx.save_output()
        ctx.p, ctx.dim, ctx.keepdim = p, dim, keepdim
        return _norm(ctx.backend, x, p, dim, keepdim)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F, p = ctx.F, ctx.p
        g, y = (restore_dims(F, t, ctx.dim, ctx.keepdim) for t in (g, y))
        if p == 0:
            return F.zeros_like(x)
        if p == 1:
            return g * F.sgn(x)
        if abs(p) == inf:
            chosen = F.abs(x) == y
            return g * F.sgn(x) * chosen / F.sum(F.type_as(chosen, y), ctx.dim, True)
        # The derivative at 0 is taken to be 0, where the formula divides by 0.
        none = y == 0
        safe = F.where(none, F.ones_like(y), y)
        ratio = F.where(none, F.zeros_like(y), g / safe)
        if p == 2:
            return x * ratio
        zero = x == 0
        size = F.where(zero, F.ones_like(F.abs(x)), F.abs(x)) / safe
        slope = F.sgn(x) * size ** (p - 1)
        return F.where(none, F.zeros_like(slope), slope * g)


def _norm(backend: Backend, x: Array, p: float, dim: tuple[int, ...], keepdim: bool) -> Array:
    if x.dtype.itemsize == 2:
        return _norm(backend, x.astype("float32"), p, dim, keepdim).astype(x.dtype)
    xp = backend.xp
    if p == 2 and x.dtype.kind != "c":
        if len(dim) == x.ndim and x.flags.c_contiguous:
            flat = x.reshape(-1)
            squares = flat.dot(flat)
            return xp.sqrt(squares.reshape((1,) * x.ndim) if keepdim else squares)
        return xp.sqrt(backend.sum_squares(x, dim, keepdim))
    size, over = xp.abs(x), {"axis": dim, "keepdims": keepdim}
    if p == inf:
        return xp.max(size, **over)
    if p == -inf:
        return xp.min(size, **over)
    if p == 0:
        return xp.sum(size != 0, **over).astype(size.dtype)
    if p == 1:
        return xp.sum(size, **over)
    return xp.sum(size**p, **over) ** (1 / p)


@public(method=True)
@accepts_out
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    dtype: Dtype | None = None,
) -> Tensor:
    """Vector norm of order `p` of all elements or over `dim`; "fro" and None are p = 2.

    Raises RuntimeError for integers, for other words than "fro", and for the inf norm of nothing.
    """
    x = input if dtype is None else cast(input, dtype)
    if x._array.dtype.kind not in "fcV":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{TYPE_NAMES[x.dtype]}"
        )
    if isinstance(p, str) and p != "fro":
        from disttorch.ops.linalg_norm import linalg_matrix_norm  # noqa: PLC0415 - it lies above

        return linalg_matrix_norm(x, p, (-2, -1) if dim is None else dim, keepdim)
    order = 2.0 if isinstance(p, str) or p is None else float(p)
    if order in (inf, -inf) and not x.numel():
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order} norm on an empty tensor because the "
            "operation does not have an identity"
        )
    return Norm.apply(x, p=order, dim=normalized_dims(x, dim), keepdim=keepdim)


@public(method=True)
@accepts_out
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Scale down the slices along `dim` whose norm of order `p` is above `maxnorm`.

    RuntimeError for fewer than two dimensions, and for p or maxnorm out of range.
    """
    if not p > 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    d = input._dim(dim)
    size = norm(input, p, tuple(i for i in range(input.ndim) if i != d), keepdim=True)
    factor = where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)
    return mul(input, factor)


@public(method=True, function=False)
def renorm_(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """In-place version of `renorm`."""
    return overwrite(input, renorm(clone(input), p, dim, maxnorm))


@public(method=True)
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """Norm of order `p` of ``input - other``; 0-d."""
    return norm(sub(input, other), p)


class Logsumexp(Op):
    """log(sum(exp(x))) over dims."""

    promotes = "float"

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.save(0)
        ctx.save_output()
        ctx.dim, ctx.keepdim = dim, keepdim
        xp = ctx.xp
        if not x.size:
            return xp.log(xp.sum(x, axis=dim, keepdims=keepdim))
        y = ctx.backend.log_sum_exp(x, dim)
        return y if keepdim else y.squeeze(dim)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        g, y = (restore_dims(F, t, ctx.dim, ctx.keepdim) for t in (g, y))
        return g * F.conj(F.exp(x - y))


@public(method=True)
@accepts_out
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """Logarithm of the sum of the exponentials over `dim`, without overflow."""
    return Logsumexp.apply(input, dim=normalized_dims(input, dim), keepdim=keepdim)
