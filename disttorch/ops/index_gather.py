"""Picking and writing with an index for every element: gather, scatter and their relatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.inplace import check_writable, overwrite
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.index_dim import two_forms
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import expand, ravel, reshape
from disttorch.ops.shape_region import BasicIndex, Embed
from disttorch.tensor import Tensor

__all__ = [
    *("gather", "scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce"),
    *("scatter_reduce_", "take_along_dim"),
]

Array = Any


def corner(shape: Sequence[int], dim: int | None = None) -> tuple[Any, ...]:
    """Index of the first elements of each dimension, all of them along `dim`."""
    return tuple([slice(None) if d == dim else slice(0, n) for d, n in enumerate(shape)])


def full_index(xp: Any, index: Array, dim: int) -> tuple[Array, ...]:
    """NumPy index of the places that `index` names along `dim`, one array a dimension."""
    last = index.ndim - 1
    return tuple(
        [
            index if d == dim else xp.arange(n).reshape((n,) + (1,) * (last - d))
            for d, n in enumerate(index.shape)
        ]
    )


@quick(None, keeps="second, shapes", settings=True)
class Gather(Op):
    """x at the places that an index tensor names along one dimension."""

    apart = 1

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Array]:
        """Return the function of two arrays and `dim`."""
        return functools.partial(_gathered, backend.xp)

    def forward(ctx, x: Array, index: Array, dim: int) -> Array:
        ctx.shapes, ctx.dim = [x.shape], dim
        ctx.save(1)
        return _gathered(ctx.xp, x, index, dim)

    def backward(ctx, g: Any) -> Any:
        (index,) = ctx.saved
        return ctx.call(AddAlong, g, index, dim=ctx.dim, shape=ctx.shapes[0])


def _gathered(xp: Any, x: Array, index: Array, dim: int) -> Array:
    return xp.ascontiguousarray(x[full_index(xp, index, dim)])


class AddAlong(Op):
    """Zeros of `shape` with x added at the places that an index names along one dimension."""

    def forward(ctx, x: Array, index: Array, dim: int, shape: tuple[int, ...]) -> Array:
        ctx.dim = dim
        ctx.save(1)
        out = ctx.xp.zeros(shape, x.dtype)
        ctx.backend.scatter_add(out, full_index(ctx.xp, index, dim), x)
        return out

    def backward(ctx, g: Any) -> Any:
        (index,) = ctx.saved
        return ctx.call(Gather, g, index, dim=ctx.dim), None


def _check_index(name: str, input: Tensor, dim: int, index: Any, *, in_range: bool = True) -> int:
    """Check dtype, rank and range of an index for every element; return the dimension."""
    d, places = input._dim(dim), index._array
    if places.size and (places.dtype.kind != "i" or places.itemsize < 4):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if places.size and (places.ndim or 1) != (input._array.ndim or 1):
        what = "input" if name == "gather" else "self"
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {what} tensor")
    if in_range:
        _check_range(input, d, index)
    return d


def _check_range(input: Tensor, d: int, index: Tensor) -> None:
    shape = input._array.shape
    n = shape[d] if shape else 1
    wrong = input.backend.first_outside(index._array, 0, n)
    if wrong is not None:
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {d} with size {n}")


def _too_large(shape: Sequence[int], limit: Sequence[int], dim: int | None) -> int | None:
    """First dimension other than `dim` in which `shape` exceeds `limit`."""
    for d, n in enumerate(shape):
        if n > limit[d] and d != dim:
            return d
    return None


def _vector(tensor: Any) -> Any:
    if isinstance(tensor, Tensor) and not tensor._array.ndim:
        return reshape(tensor, (1,))
    return tensor


@public(method=True)
@functools.partial(accepts_out, casts=False, shares=False)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """Elements ``input[i][index[i][j]][k]`` (here for `dim` 1), shaped as `index`.

    Raises RuntimeError for an index out of range or larger than `input` in another dimension.
    """
    d = _check_index("gather", input, dim, index, in_range=False)
    if not index._array.size:
        return reshape(ravel(input)[:0], index.shape)
    x, places = _vector(input), _vector(index)
    wrong = _too_large(places._array.shape, x._array.shape, d)
    if wrong is not None:
        raise RuntimeError(
            f"Size does not match at dimension {wrong} expected index {list(index.shape)} to be no "
            f"larger than self {list(input.shape)} apart from dimension {d}"
        )
    _check_range(input, d, index)
    out = Gather.apply(x, places, dim=d)
    return out if index.ndim else reshape(out, ())


@public(method=True)
@accepts_out
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Elements at `indices` along `dim`, the other dimensions broadcast; flattened for None."""
    if indices.dtype.name != "int64":
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{TYPE_NAMES[indices.dtype]}"
        )
    if dim is None:
        return gather(ravel(input), 0, _wrapped(ravel(indices), input.numel()))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    d = input._dim(dim)
    other = [max(n, m) if n and m else 0 for n, m in zip(input.shape, indices.shape, strict=True)]
    wide = expand(input, [n if i != d else input.shape[d] for i, n in enumerate(other)])
    places = expand(indices, [n if i != d else indices.shape[d] for i, n in enumerate(other)])
    return gather(wide, d, _wrapped(places, input.shape[d]))


def _wrapped(indices: Tensor, n: int) -> Tensor:
    """Indices counted from the end made to count from the start."""
    array = indices._array
    return Tensor._wrap(indices.backend.xp.where(array < 0, array + n, array))


# ---- scatter -------------------------------------------------------------------------------------


class Scatter(Op):
    """x with y (a tensor or a number) written to the places an index names along one dimension."""

    def forward(ctx, x: Array, y: Any, index: Array, dim: int, inplace: bool = False) -> Array:
        ctx.dim, ctx.y_shape, ctx.shape = dim, getattr(y, "shape", None), index.shape
        ctx.save(2)
        out = x if inplace else x.copy()
        out[full_index(ctx.xp, index, dim)] = y[corner(index.shape)] if ctx.y_shape else y
        return out

    def backward(ctx, g: Any) -> Any:
        (index,) = ctx.saved
        gx = ctx.call(Scatter, g, 0, index, dim=ctx.dim) if ctx.needs_grad(0) else None
        return gx, _source_grad(ctx, g, index)


class ScatterNumber(Scatter):
    """The same with a number to write."""

    torch_name = "ScatterBackward1"


def _source_grad(ctx: Any, g: Any, index: Any) -> Any:
    """Gradient of a source: g at the places written to, zero where the source was not used."""
    if not ctx.needs_grad(1):
        return None
    gy = ctx.call(Gather, g, index, dim=ctx.dim)
    if ctx.y_shape == ctx.shape:
        return gy
    params = {"index": corner(ctx.shape)}
    return ctx.call(Embed, gy, shape=ctx.y_shape, view=BasicIndex, params=params)


class ScatterAdd(Op):
    """x with y added at the places an index names along one dimension."""

    def forward(ctx, x: Array, y: Array, index: Array, dim: int, inplace: bool = False) -> Array:
        ctx.dim, ctx.y_shape, ctx.shape = dim, y.shape, index.shape
        ctx.save(2)
        out = x if inplace else x.copy()
        ctx.backend.scatter_add(out, full_index(ctx.xp, index, dim), y[corner(index.shape)])
        return out

    def backward(ctx, g: Any) -> Any:
        (index,) = ctx.saved
        return g, _source_grad(ctx, g, index)


def _check_scatter(name: str, input: Tensor, dim: int, index: Tensor, src: Any) -> int:
    d = _check_index(name, input, dim, index, in_range=False)
    if isinstance(src, Tensor) and index.numel() and max(src.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    shape, places = _vector(input).shape, _vector(index).shape
    outside = _too_large(places, shape, d) is not None
    if isinstance(src, Tensor):
        if src.dtype is not input.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        if outside or _too_large(places, _vector(src).shape, None) is not None:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {d} and to be no larger size than src "
                f"{list(src.shape)}"
            )
    elif outside:
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} "
            f"apart from dimension {d}"
        )
    _check_range(input, d, index)
    return d


def _apply(
    op: type[Op], input: Tensor, d: int, index: Tensor, src: Any, inplace: bool, **params: Any
) -> Tensor:
    x, y, places = _vector(input), _vector(src), _vector(index)
    if not places.numel():
        return input if inplace else input.clone()
    if not inplace:
        out = op.apply(x, y, places, dim=d, **params)
        return out if input.ndim else reshape(out, ())
    check_writable(input)
    written = overwrite(x, op.apply(x, y, places, dim=d, inplace=True, **params))
    return written if input.ndim else input


def _scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    inplace: bool = False,
) -> Tensor:
    src = value if src is None else src
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if not isinstance(src, Tensor):
            src = input.new_full(index.shape, src)
        how = "sum" if reduce == "add" else "prod"
        return _scatter_reduce(input, dim, index, src, how, inplace=inplace)
    d = _check_scatter("scatter", input, dim, index, src)
    op = Scatter if isinstance(src, Tensor) else ScatterNumber
    return _apply(op, input, d, index, src, inplace)


def _scatter_add(
    input: Tensor, dim: int, index: Tensor, src: Tensor, *, inplace: bool = False
) -> Tensor:
    if not isinstance(src, Tensor):
        name, kind = "scatter_add_" if inplace else "scatter_add", type(src).__name__
        raise TypeError(f"{name}(): argument 'src' (position 3) must be Tensor, not {kind}")
    d = _check_scatter("scatter", input, dim, index, src)
    return _apply(ScatterAdd, input, d, index, src, inplace)


scatter, scatter_ = two_forms(
    "scatter",
    _scatter,
    "``(input, dim, index, src or value, *, reduce=None)``: write to the places `index` names.",
)
scatter_add, scatter_add_ = two_forms(
    "scatter_add",
    _scatter_add,
    "``(input, dim, index, src)``: add `src` at the places `index` names along `dim`.",
)


# ---- scatter_reduce ------------------------------------------------------------------------------

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


class ScatterReduce(Op):
    """x with the product or extremum of y's elements at the places an index names."""

    def forward(ctx, x: Array, y: Array, index: Array, dim: int, how: str) -> Array:
        ctx.dim, ctx.how, ctx.y_shape, ctx.shape = dim, how, y.shape, index.shape
        ctx.save(0, 1, 2)
        ctx.save_output()
        out = x.copy()
        key = full_index(ctx.xp, index, dim)
        ctx.backend.scatter_reduce(out, key, y[corner(index.shape)], how)
        return out

    def backward(ctx, g: Any) -> Any:
        x, y, index, z = ctx.saved
        used = y[corner(ctx.shape)]
        picked = ctx.call(Gather, z, index, dim=ctx.dim)
        if ctx.how == "prod":
            gx, gy = ctx.prod_grads(g, x, y, index)
        else:
            # Elements that equal the extremum share its gradient evenly.
            F = ctx.F
            own, winner = F.type_as(x == z, g), F.type_as(used == picked, g)
            counts = own + ctx.call(AddAlong, winner, index, dim=ctx.dim, shape=x.shape)
            share = g / F.maximum(counts, F.ones_like(counts))
            gx, gy = share * own, ctx.call(Gather, share, index, dim=ctx.dim) * winner
        if ctx.y_shape != ctx.shape:
            params = {"index": corner(ctx.shape)}
            gy = ctx.call(Embed, gy, shape=ctx.y_shape, view=BasicIndex, params=params)
        return gx, gy

    def prod_grads(ctx, g: Any, x: Any, y: Any, index: Any) -> tuple[Any, Any]:
        """Gradients of a product: all factors but one's own, also where one of them is zero."""
        F, dim = ctx.F, ctx.dim
        used = y[corner(ctx.shape)]
        x_zero, y_zero = x == 0, used == 0
        own = F.where(x_zero, F.ones_like(x), x)
        gx = g * ctx.call(ScatterReduce, own, y, index, dim=dim, how="prod") / own
        zeros = ctx.call(AddAlong, F.type_as(y_zero, g), index, dim=dim, shape=x.shape)
        only = y_zero & (ctx.call(Gather, zeros, index, dim=dim) == 1)
        lone = F.where(only, F.ones_like(used), used)
        others = g * ctx.call(ScatterReduce, x, lone, index, dim=dim, how="prod")
        every = g * ctx.call(ScatterReduce, x, used, index, dim=dim, how="prod")
        divisor = F.where(y_zero, F.ones_like(used), used)
        gathered = ctx.call(Gather, every, index, dim=dim) / divisor
        return gx, F.where(only, ctx.call(Gather, others, index, dim=dim), gathered)


def _identity(input: Tensor, how: str) -> Any:
    """What a reduction starts from: what changes nothing."""
    if how in ("sum", "mean"):
        return 0
    if how == "prod":
        return 1
    kind = input._array.dtype.kind
    if kind in "fV":
        return float("-inf") if how == "amax" else float("inf")
    if kind == "b":
        return how == "amin"
    info = input.backend.xp.iinfo(input._array.dtype)
    return int(info.min if how == "amax" else info.max)


def _scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    inplace: bool = False,
) -> Tensor:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    d = _check_scatter("scatter", input, dim, index, src)
    start = input
    if not include_self:
        start = _apply(Scatter, input, d, index, _identity(input, reduce), False)
    if reduce in ("sum", "mean"):
        out = _apply(ScatterAdd, start, d, index, src, False)
        if reduce == "mean":
            ones = src.new_ones(index.shape)
            first = input.new_ones(input.shape)
            if not include_self:
                first = _apply(Scatter, first, d, index, 0, False)
            counts = _apply(ScatterAdd, first, d, index, ones, False)
            out = _mean(out, counts.clamp(min=1))
    else:
        out = _apply(ScatterReduce, start, d, index, src, False, how=reduce)
    return overwrite(input, out) if inplace else out


def _mean(total: Tensor, counts: Tensor) -> Tensor:
    if total.is_floating_point() or total.is_complex():
        return total / counts
    return total // counts


scatter_reduce, scatter_reduce_ = two_forms(
    "scatter_reduce",
    _scatter_reduce,
    "``(input, dim, index, src, reduce, *, include_self=True)``: reduce `src` into the places that "
    "`index` names, with `reduce` sum, prod, mean, amax or amin.",
)
