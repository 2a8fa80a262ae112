"""Running sums, products, extremes and log-sum-exps along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, ClassVar

from disttorch import return_types
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import dtype as Dtype
from disttorch.ops.index_gather import AddAlong
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import accepts_out
from disttorch.ops.pointwise_bounds import complex_logaddexp
from disttorch.ops.reduce import widened
from disttorch.tensor import Tensor

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]

Array = Any


@quick(1, "fi", settings=True)
class Cumsum(Op):
    """Running sum along a dimension."""

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the running sum of an array along `dim`."""
        return partial(_running_sum, backend)

    def forward(ctx, x: Array, dim: int) -> Array:
        ctx.dim = dim
        return _running_sum(ctx.backend, x, dim)

    def backward(ctx, g: Any) -> Any:
        return _reverse_cumsum(ctx, g, ctx.dim)


def _running_sum(backend: Backend, x: Array, dim: int) -> Array:
    if not x.ndim:
        return x.copy()
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        x32 = x.astype("float32", order="C")
        return backend.xp.cumsum(x32, axis=dim).astype(x.dtype)
    return backend.cumsum(x if x.flags.c_contiguous else backend.xp.ascontiguousarray(x), dim)


def _reverse_cumsum(ctx: Op, g: Any, dim: int) -> Any:
    """Sum from each element to the end of its row."""
    if not g.ndim:
        return g
    flip = ctx.F.flip
    return flip(ctx.call(Cumsum, flip(g, (dim,)), dim=dim), (dim,))


@public(method=True, inplace=True)
@accepts_out
def cumsum(input: Tensor, dim: int, *, dtype: Dtype | None = None) -> Tensor:
    """Running sum along `dim`; integers and bools give int64."""
    if dtype is None and input._array.dtype.kind == "f":  # the usual case, quickly
        return Cumsum.apply(input, dim=input._dim(dim))
    return Cumsum.apply(widened(input, dtype), dim=input._dim(dim))


class Cumprod(Op):
    """Running product along a dimension."""

    def forward(ctx, x: Array, dim: int) -> Array:
        ctx.save(0)
        ctx.save_output()
        ctx.dim = dim
        ctx.has_zero = x.dtype.kind in "fcV" and bool((x == 0).any())
        if not x.ndim:
            return x.copy()
        return ctx.xp.cumprod(ctx.xp.ascontiguousarray(x), axis=dim, dtype=x.dtype)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F, dim = ctx.F, ctx.dim
        if not g.ndim or x.shape[dim] <= 1:
            return g
        if not ctx.has_zero:
            return _reverse_cumsum(ctx, g * F.conj(y), dim) / F.conj(x)
        # With zeros: the running products once more for every element, that element replaced by 1.
        n = x.shape[dim]
        last, front, g_last = x.ndim, F.transpose(x, dim, -1), F.transpose(g, dim, -1)
        rows = F.expand(F.unsqueeze(front, -2), (*front.shape[:-1], n, n))
        itself = ctx.constant(ctx.xp.eye(n, dtype=bool))
        products = ctx.call(Cumprod, F.where(itself, F.ones_like(rows), rows), dim=last)
        reached = ctx.constant(ctx.xp.triu(ctx.xp.ones((n, n), bool)))
        summed = F.sum(F.unsqueeze(g_last, -2) * F.conj(products) * reached, -1)
        return F.transpose(summed, dim, -1)


@public(method=True, inplace=True)
@accepts_out
def cumprod(input: Tensor, dim: int, *, dtype: Dtype | None = None) -> Tensor:
    """Running product along `dim`; integers and bools give int64."""
    return Cumprod.apply(widened(input, dtype), dim=input._dim(dim))


class Cummax(Op):
    """Running maximum along a dimension and the index of its latest occurrence."""

    non_differentiable_outputs = (1,)
    ufunc: ClassVar[str] = "maximum"

    def forward(ctx, x: Array, dim: int) -> tuple[Array, Array]:
        refuse_kinds(x, "c", f"cum{ctx.ufunc[:3]}_cpu")
        ctx.save_output(1)
        ctx.dim, ctx.shape, xp = dim, x.shape, ctx.xp
        if not x.ndim:
            return x.copy(), xp.zeros((), "int64")
        x = xp.ascontiguousarray(x)
        values = ctx.backend.accumulate(ctx.ufunc, x, dim)
        reached = x == values
        if x.dtype.kind in "fV":
            reached = reached | xp.isnan(x)
        shape = (-1, *(1,) * (x.ndim - dim - 1))
        position = xp.arange(x.shape[dim]).reshape(shape)
        latest = xp.where(reached, position, xp.zeros((), "int64"))
        return values, ctx.backend.accumulate("maximum", latest, dim)

    def backward(ctx, g: Any, _: Any = None) -> Any:
        if not ctx.shape:
            return g
        (indices,) = ctx.saved
        return ctx.call(AddAlong, g, indices, dim=ctx.dim, shape=ctx.shape)


class Cummin(Cummax):
    """Running minimum along a dimension and the index of its latest occurrence."""

    ufunc = "minimum"


@public(method=True)
@accepts_out
def cummax(input: Tensor, dim: int) -> Any:
    """Running maximum along `dim`: fields values and indices (of the latest occurrence)."""
    return return_types.cummax(Cummax.apply(input, dim=input._dim(dim)))


@public(method=True)
@accepts_out
def cummin(input: Tensor, dim: int) -> Any:
    """Running minimum along `dim`: fields values and indices (of the latest occurrence)."""
    return return_types.cummin(Cummin.apply(input, dim=input._dim(dim)))


class Logcumsumexp(Op):
    """Logarithm of the running sum of exponentials along a dimension."""

    def forward(ctx, x: Array, dim: int) -> Array:
        refuse_kinds(x, "biu", "logcumsumexp_out_cpu")
        ctx.save(0)
        ctx.save_output()
        ctx.dim, ctx.is_complex = dim, x.dtype.kind == "c"
        if not x.ndim:
            return x.copy()
        if x.dtype.kind == "c":
            return _complex_logcumsumexp(x, dim, ctx.xp)
        return ctx.backend.accumulate("logaddexp", x, dim)

    def backward(ctx, g: Any) -> Any:
        if not g.ndim:
            return g
        x, y = ctx.saved
        F = ctx.F
        if ctx.is_complex:
            behind = F.flip(F.log(F.conj(g)) - y, (ctx.dim,))
            summed = ctx.call(Logcumsumexp, behind, dim=ctx.dim)
            return F.conj(F.exp(F.flip(summed, (ctx.dim,)) + x))
        # In logarithms, positive and negative gradients apart, so that nothing overflows.
        nothing = F.zeros_like(g) - inf
        y = F.where(y == -inf, F.zeros_like(y), y)
        parts = []
        for sign in (1, -1):
            has_sign = g * sign > 0
            size = F.log(F.where(has_sign, g * sign, F.ones_like(g)))
            behind = F.flip(F.where(has_sign, size - y, nothing), (ctx.dim,))
            summed = ctx.call(Logcumsumexp, behind, dim=ctx.dim)
            parts.append(F.exp(F.flip(summed, (ctx.dim,)) + x))
        return parts[0] - parts[1]


def _complex_logcumsumexp(x: Array, dim: int, xp: Any) -> Array:
    """The running sum one element after the other: the library accumulates real numbers only."""
    y = x.copy()
    front = xp.moveaxis(y, dim, 0)
    for i in range(1, x.shape[dim]):
        front[i] = complex_logaddexp(front[i - 1], front[i], xp)
    return y


@public(method=True)
@accepts_out
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithm of the running sum of the exponentials along `dim`, without overflow."""
    return Logcumsumexp.apply(input, dim=input._dim(dim))
