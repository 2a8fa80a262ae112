"""Order along a dimension: sort, argsort, topk, kthvalue, msort."""

from __future__ import annotations

import functools
from typing import Any

from disttorch import return_types
from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.index_gather import AddAlong, full_index
from disttorch.ops.out import accepts_out
from disttorch.tensor import Tensor

__all__ = ["argsort", "kthvalue", "msort", "sort", "topk"]

Array = Any

# From this length on, the few largest of many are found by partition rather than by sorting all.
_LONG = 128


def sort_keys(x: Array) -> Array:
    """What to sort x by: bfloat16 has no order of its own in NumPy that puts NaN last."""
    return x.astype("float32") if x.dtype.kind == "V" else x


def order(xp: Any, x: Array, dim: int, descending: bool) -> Array:
    """Indices that sort x along `dim`, equal elements in their old order, NaN as the largest."""
    keys = sort_keys(x)
    if not descending:
        return xp.argsort(keys, axis=dim, kind="stable")
    # Reversed twice, so that equal elements keep their order.
    backwards = xp.argsort(xp.flip(keys, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - xp.flip(backwards, dim)


class Pick(Op):
    """Elements in the order that a subclass's `indices` finds along `dim`: values and indices."""

    non_differentiable_outputs = (1,)

    def forward(ctx, x: Array, dim: int, **how: Any) -> tuple[Array, Array]:
        ctx.shape, ctx.dim = x.shape, dim
        ctx.save_output(1)
        if not x.ndim:
            return x.copy(), ctx.xp.zeros((), "int64")
        indices = ctx.indices(x, dim, **how)
        if x.ndim == 1:
            return x[indices], indices
        return x[full_index(ctx.xp, indices, dim)], indices

    def indices(ctx, x: Array, dim: int, **how: Any) -> Array:
        raise NotImplementedError

    def backward(ctx, g: Any, _: Any = None) -> Any:
        if not ctx.shape:
            return g
        (indices,) = ctx.saved
        return ctx.call(AddAlong, g, indices, dim=ctx.dim, shape=ctx.shape)


class Sort(Pick):
    """All elements in order."""

    def indices(ctx, x: Array, dim: int, descending: bool) -> Array:
        return order(ctx.xp, x, dim, descending)


def _refuse_complex(input: Tensor, name: str) -> None:
    if input.is_complex():
        raise RuntimeError(f" {name} does not support complex dtypes on CPU")


@public(method=True)
@functools.partial(accepts_out, casts=False)
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> Any:
    """Values and int64 indices sorted along `dim`; always stable; NaN counts as the largest."""
    _refuse_complex(input, "Sort")
    return return_types.sort(Sort.apply(input, dim=input._dim(dim), descending=bool(descending)))


@public(method=True)
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """Return int64 indices that sort along `dim`."""
    indices: Tensor = sort(input, dim, descending)[1]
    return indices


@public(method=True)
@accepts_out
def msort(input: Tensor) -> Tensor:
    """Values sorted along the first dimension."""
    values: Tensor = sort(input, 0)[0]
    return values


class Topk(Pick):
    """The k largest or smallest elements, in order."""

    def indices(ctx, x: Array, dim: int, k: int, largest: bool) -> Array:
        xp, n = ctx.xp, x.shape[dim]
        first = (*(slice(None),) * dim, slice(0, k))
        if n < _LONG or k * 4 > n or k == 0:
            return order(xp, x, dim, largest)[first]
        keys = sort_keys(x)
        found = xp.argpartition(keys, n - k if largest else k - 1, axis=dim)
        part = (*(slice(None),) * dim, slice(n - k, n) if largest else slice(0, k))
        found = xp.sort(found[part], axis=dim)
        inner = order(xp, xp.take_along_axis(keys, found, dim), dim, largest)
        return xp.take_along_axis(found, inner, dim)


@public(method=True)
@functools.partial(accepts_out, casts=False)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Values and int64 indices of the `k` largest (or smallest) elements along `dim`, in order.

    Raises RuntimeError if there are fewer than `k`.
    """
    _refuse_complex(input, "topk")
    d = input._dim(dim)
    n = input._array.shape[d] if input.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError("selected index k out of range")
    return return_types.topk(Topk.apply(input, dim=d, k=int(k), largest=bool(largest)))


class Kthvalue(Pick):
    """The k-th smallest element, in a dimension of length 1."""

    def indices(ctx, x: Array, dim: int, k: int) -> Array:
        part = (*(slice(None),) * dim, slice(k - 1, k))
        return order(ctx.xp, x, dim, False)[part]


@public(method=True)
@functools.partial(accepts_out, casts="output values must be of same type as input", shares=False)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Value and int64 index of the `k`-th smallest element along `dim`, counted from 1."""
    d = input._dim(dim)
    n = input._array.shape[d] if input.ndim else 1
    if not n:
        raise IndexError(f"kthvalue(): Expected reduction dim {d} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    if input.is_complex():
        kind = TYPE_NAMES[input.dtype]
        raise NotImplementedError(f"\"kthvalue_cpu\" not implemented for '{kind}'")
    values, indices = Kthvalue.apply(input, dim=d, k=int(k))
    if not keepdim and input.ndim:
        values, indices = values.squeeze(d), indices.squeeze(d)
    return return_types.kthvalue((values, indices))
