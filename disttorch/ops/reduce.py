"""Sums, means, products and tests over dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES, int64
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast import cast
from disttorch.ops.out import accepts_out, write_out
from disttorch.tensor import Tensor

__all__ = ["all", "any", "count_nonzero", "mean", "nanmean", "nansum", "prod", "sum"]

Array = Any
Dims = int | Sequence[int] | None


def normalized_dims(input: Tensor, dim: Dims) -> tuple[int, ...]:
    """Return the dimensions to reduce, non-negative; all for None or an empty sequence.

    Raises IndexError for one out of range and RuntimeError for one given twice.
    """
    n = input._array.ndim
    if dim is None:
        return tuple(range(n))
    if isinstance(dim, int) or hasattr(dim, "__index__"):  # NumPy's integers too
        d = input._dim(int(dim))
        return (d,) if n else ()
    dims = tuple([input._dim(d) for d in dim]) or tuple(range(n))
    if len(set(dims)) != len(dims):
        twice = next(d for d in dims if dims.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return dims if n else ()


def restore_dims(F: Any, reduced: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """Give a reduced array its reduced dimensions back, with length 1."""
    if keepdim:
        return reduced
    for d in sorted(dims):
        reduced = F.unsqueeze(reduced, d)
    return reduced


def n_reduced(shape: Sequence[int], dims: tuple[int, ...]) -> int:
    """Return how many elements are reduced to one."""
    n = 1
    for d in dims:
        n *= shape[d]
    return n


def total(backend: Backend, x: Array, dim: tuple[int, ...] | None, keepdim: bool) -> Array:
    """Sum x over `dim` (None: all) in its dtype; 16-bit floats are added up in float32."""
    return backend.add_up(x, None if dim is None or len(dim) == x.ndim else dim, keepdim)


def widened(input: Tensor, dtype: Dtype | None) -> Tensor:
    """`input` in the dtype a sum has: `dtype` if given, int64 for integers and bools."""
    if dtype is not None:
        return cast(input, dtype)
    return cast(input, int64) if input._array.dtype.kind in "iub" else input


@quick(1, "f", keeps="shape", settings=True)
class Sum(Op):
    """Sum over dims."""

    torch_name = "SumBackward1"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the sum over dims."""
        return partial(total, backend)

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.shape, ctx.dim, ctx.keepdim = x.shape, dim, keepdim
        return total(ctx.backend, x, dim, keepdim)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.expand(restore_dims(ctx.F, g, ctx.dim, ctx.keepdim), ctx.shape)


@quick(1, "f", keeps="shape")
class SumAll(Op):
    """Sum over all dims."""

    torch_name = "SumBackward0"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the sum of all elements, for floats."""
        return backend.add_up

    def forward(ctx, x: Array) -> Array:
        ctx.shape = x.shape
        return total(ctx.backend, x, None, False)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.expand(g, ctx.shape)


@public(method=True)
def sum(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Sum of all elements or over `dim`; integers and bools sum to int64."""
    plain = dtype is None and input._array.dtype.kind in "fcV"
    if plain and dim is None and out is None and not keepdim:  # the usual case, quickly
        return SumAll.apply(input)
    x = input if plain else widened(input, dtype)
    if dim is None and not keepdim:
        y = SumAll.apply(x)
    else:
        y = Sum.apply(x, dim=normalized_dims(input, dim), keepdim=keepdim)
    return y if out is None else write_out(out, y, "sum")


class Nansum(Op):
    """Sum over dims of what is not NaN."""

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.shape, ctx.dim, ctx.keepdim = x.shape, dim, keepdim
        ctx.known = ~ctx.xp.isnan(x)
        return total(ctx.backend, ctx.backend.keep_where(x, ctx.known), dim, keepdim)

    def backward(ctx, g: Any) -> Any:
        return restore_dims(ctx.F, g, ctx.dim, ctx.keepdim) * ctx.constant(ctx.known)


@public(method=True)
@accepts_out
def nansum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype | None = None
) -> Tensor:
    """Sum of all elements or over `dim`, NaN counted as 0."""
    if input._array.dtype.kind in "iub":
        return sum(input, dim, keepdim, dtype=dtype)
    dims = normalized_dims(input, dim)
    return Nansum.apply(widened(input, dtype), dim=dims, keepdim=keepdim)


@quick(1, "f", keeps="shape", settings=True)
class Mean(Op):
    """Mean over dims."""

    torch_name = "MeanBackward1"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the mean over dims."""
        return partial(_mean, backend)

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.shape, ctx.dim, ctx.keepdim = x.shape, dim, keepdim
        return _mean(ctx.backend, x, dim, keepdim)

    def backward(ctx, g: Any) -> Any:
        share = g / (n_reduced(ctx.shape, ctx.dim) or 1)
        return ctx.F.expand(restore_dims(ctx.F, share, ctx.dim, ctx.keepdim), ctx.shape)


def _mean(backend: Backend, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
    n = n_reduced(x.shape, dim)
    if x.dtype.itemsize == 2:  # in float32: neither the sum nor n need fit the dtype
        return (total(backend, x.astype("float32"), dim, keepdim) / n).astype(x.dtype)
    return total(backend, x, dim, keepdim) / x.dtype.type(n)


@quick(1, "f", keeps="shape")
class MeanAll(Op):
    """Mean over all dims."""

    torch_name = "MeanBackward0"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the mean of all elements, for floats."""
        return partial(_mean_of_all, backend)

    def forward(ctx, x: Array) -> Array:
        ctx.shape = x.shape
        return _mean_of_all(ctx.backend, x)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.expand(g / (math.prod(ctx.shape) or 1), ctx.shape)


def _mean_of_all(backend: Backend, x: Array) -> Array:
    if x.itemsize == 2:
        return (backend.add_up(x.astype("float32")) / x.size).astype(x.dtype)
    return backend.add_up(x) / x.dtype.type(x.size)


@public(method=True)
def mean(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Mean of all elements or over `dim`; RuntimeError for integers unless `dtype` is given."""
    x = input if dtype is None else cast(input, dtype)
    if x._array.dtype.kind in "iub":
        which = "Input dtype" if dtype is None else "Optional dtype"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} must be either a floating point or "
            f"complex dtype. Got: {TYPE_NAMES[x.dtype]}"
        )
    if dim is None and not keepdim:
        y = MeanAll.apply(x)
    else:
        y = Mean.apply(x, dim=normalized_dims(x, dim), keepdim=keepdim)
    return y if out is None else write_out(out, y, "mean")


@public(method=True)
@accepts_out
def nanmean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype | None = None
) -> Tensor:
    """Mean of what is not NaN; NaN where nothing is. RuntimeError for integers."""
    if input._array.dtype.kind in "iub":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{TYPE_NAMES[input.dtype]}"
        )
    known = Tensor._wrap(input.backend.asarray(~input.backend.xp.isnan(input._array)))
    return nansum(input, dim, keepdim, dtype=dtype) / sum(known, dim, keepdim)  # type: ignore[operator]


class Prod(Op):
    """Product over one dim, or over all."""

    torch_name = "ProdBackward1"

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        ctx.dim, ctx.keepdim = dim, keepdim
        ctx.save(0)
        ctx.save_output()
        ctx.has_zero = x.dtype.kind in "fcV" and bool((x == 0).any())
        return ctx.xp.prod(x, axis=dim, keepdims=keepdim, dtype=x.dtype)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        if not x.ndim:
            return g
        g = restore_dims(F, g, ctx.dim, ctx.keepdim)
        if not ctx.has_zero:
            return g * F.conj(restore_dims(F, y, ctx.dim, ctx.keepdim) / x)
        return g * F.conj(_products_of_others(ctx, x))


class ProdAll(Prod):
    """Product of all elements."""

    torch_name = "ProdBackward0"


def _products_of_others(ctx: Prod, x: Any) -> Any:
    """For each element the product of the others along the dims; exact if some are zero."""
    F, n = ctx.F, n_reduced(x.shape, ctx.dim)
    kept = [d for d in range(x.ndim) if d not in ctx.dim]
    order = (*kept, *ctx.dim)
    moved = F.permute(x, order)
    flat = F.reshape(moved, (*moved.shape[: len(kept)], 1, n))
    square = F.expand(flat, (*flat.shape[:-2], n, n))
    itself = ctx.constant(ctx.xp.eye(n, dtype=bool))
    others = F.where(itself, F.ones_like(square), square)
    product = ctx.call(Prod, others, dim=(others.ndim - 1,), keepdim=False)
    inverse = tuple(order.index(d) for d in range(x.ndim))
    return F.permute(F.reshape(product, moved.shape), inverse)


@public(method=True)
@accepts_out
def prod(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
) -> Tensor:
    """Product of all elements or along `dim`; integers and bools give int64."""
    op = ProdAll if dim is None else Prod
    return op.apply(widened(input, dtype), dim=normalized_dims(input, dim), keepdim=keepdim)


class Truth(Op):
    """Whether any or all elements along dims are true."""

    differentiable = False

    def forward(ctx, x: Array, ufunc: str, dim: tuple[int, ...], keepdim: bool) -> Array:
        result = getattr(x if x.dtype.kind == "b" else x != 0, ufunc)(axis=dim, keepdims=keepdim)
        return result.astype(x.dtype) if x.dtype.kind == "u" and x.itemsize == 1 else result


class WholeTruth(Op):
    """Whether any or all of all elements are true."""

    differentiable = False

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the test of all elements, for bools."""
        truth, name = backend.truth, cls.ufunc
        return lambda x: truth(x, name)

    def forward(ctx, x: Array) -> Array:
        result = getattr(x != 0, ctx.ufunc)()
        return result.astype(x.dtype) if x.dtype.kind == "u" and x.itemsize == 1 else result


@quick(1, "b")
class AnyTrue(WholeTruth):
    """Whether any element is true."""

    ufunc = "any"


@quick(1, "b")
class AllTrue(WholeTruth):
    """Whether all elements are true."""

    ufunc = "all"


@public(method=True)
@accepts_out
def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether any element is not 0, of all or along `dim`; bool (uint8 for uint8)."""
    if dim is None and not keepdim:
        return AnyTrue.apply(input)
    return Truth.apply(input, ufunc="any", dim=normalized_dims(input, dim), keepdim=keepdim)


@public(method=True)
@accepts_out
def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0, of all or along `dim`; bool (uint8 for uint8)."""
    if dim is None and not keepdim:
        return AllTrue.apply(input)
    return Truth.apply(input, ufunc="all", dim=normalized_dims(input, dim), keepdim=keepdim)


@public(method=True)
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """Count the elements that are not 0, of all or along `dim`; int64."""
    return sum(Tensor._wrap(input.backend.asarray(input._array != 0)), dim)
