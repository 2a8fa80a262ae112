"""Largest and smallest elements, where they are, and medians."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from disttorch import return_types
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.ops.index_gather import AddAlong
from disttorch.ops.kinds import refuse_kinds
from disttorch.ops.out import accepts_out, write_out
from disttorch.ops.pointwise_bounds import maximum, minimum
from disttorch.ops.reduce import Dims, normalized_dims, restore_dims
from disttorch.ops.sort import Pick, order
from disttorch.tensor import Tensor

__all__ = [
    *("amax", "amin", "aminmax", "argmax", "argmin", "max", "median", "min", "mode"),
    "nanmedian",
]

Array = Any


class Amax(Op):
    """Largest element over dims; ties share the gradient equally."""

    ufunc, kernel = "max", "max_values_cpu"

    def forward(ctx, x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
        refuse_kinds(x, "c", ctx.kernel)
        ctx.save(0)
        ctx.save_output()
        ctx.dim, ctx.keepdim = dim, keepdim
        axis = None if len(dim) == x.ndim else dim
        return ctx.backend.extreme(x, ctx.ufunc, axis, keepdim)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F = ctx.F
        chosen = x == restore_dims(F, y, ctx.dim, ctx.keepdim)
        n = F.sum(F.type_as(chosen, y), ctx.dim, True)
        return restore_dims(F, g, ctx.dim, ctx.keepdim) / n * chosen


class Amin(Amax):
    """Smallest element over dims; ties share the gradient equally."""

    ufunc, kernel = "min", "min_values_cpu"


class ExtremeOfAll(Op):
    """Largest or smallest of all elements; ties share the gradient equally."""

    kernel: ClassVar[str]

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the extreme of all elements."""
        return functools.partial(backend.extreme, name=cls.ufunc)

    def forward(ctx, x: Array) -> Array:
        refuse_kinds(x, "c", ctx.kernel)
        ctx.save(0)
        ctx.save_output()
        return ctx.backend.extreme(x, ctx.ufunc)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        chosen = x == y
        return g / ctx.F.sum(ctx.F.type_as(chosen, y)) * chosen


@quick(1, "fVbiu", keeps="both")
class MaxAll(ExtremeOfAll):
    """Largest of all elements."""

    torch_name, kernel, ufunc = "MaxBackward1", "max_all", "max"


@quick(1, "fVbiu", keeps="both")
class MinAll(ExtremeOfAll):
    """Smallest of all elements."""

    torch_name, kernel, ufunc = "MinBackward1", "min_all", "min"


def _check_not_empty(input: Tensor, dim: Dims, name: str) -> None:
    """Raise PyTorch's errors for extremes of nothing, which do not exist."""
    if input.numel():
        return
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        kind = IndexError if name.startswith("arg") else RuntimeError
        hint = (
            "" if name.startswith("arg") else " Specify the reduction dim with the 'dim' argument."
        )
        raise kind(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{hint}"
        )
    for d in normalized_dims(input, dim):
        if input.shape[d] == 0:
            call = name if name == "aminmax" else f"{name}()"
            raise IndexError(f"{call}: Expected reduction dim {d} to have non-zero size.")


_SAME_DTYPE = (
    "Expected the dtype for input and out to match, but got {result} for input's dtype and {out} "
    "for out's dtype."
)


@public(method=True)
@functools.partial(accepts_out, casts=_SAME_DTYPE)
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """Largest element of all or over `dim`; ties share the gradient equally."""
    _check_not_empty(input, dim, "amax")
    return Amax.apply(input, dim=normalized_dims(input, dim), keepdim=keepdim)


@public(method=True)
@functools.partial(accepts_out, casts=_SAME_DTYPE)
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """Smallest element of all or over `dim`; ties share the gradient equally."""
    _check_not_empty(input, dim, "amin")
    return Amin.apply(input, dim=normalized_dims(input, dim), keepdim=keepdim)


@public(method=True)
@functools.partial(accepts_out, casts=False)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Smallest and largest element of all or along `dim`: fields min and max.

    RuntimeError for no elements, IndexError for none along `dim`.
    """
    if dim is None and not input.numel():
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    _check_not_empty(input, dim, "aminmax")
    dims = normalized_dims(input, dim)
    pair = [op.apply(input, dim=dims, keepdim=keepdim) for op in (Amin, Amax)]
    return return_types.aminmax(pair)


class PickOne(Pick):
    """One element along a dimension, that `indices` finds with the dimension kept."""

    def forward(ctx, x: Array, dim: int, keepdim: bool, **how: Any) -> tuple[Array, Array]:
        ctx.keepdim = keepdim or not x.ndim
        if x.ndim == 2 and dim == 1 and not keepdim:  # the usual case, quickly
            ctx.shape, ctx.dim = x.shape, dim
            ctx.save_output(1)
            column = ctx.indices(x, dim, **how).reshape(-1)
            return x[ctx.xp.arange(len(x)), column], column
        values, indices = super().forward(x, dim, **how)
        if ctx.keepdim:
            return values, indices
        return values.squeeze(dim), indices.squeeze(dim)

    def backward(ctx, g: Any, _: Any = None) -> Any:
        if ctx.keepdim:
            return super().backward(g)
        (indices,) = ctx.saved
        F = ctx.F
        kept = F.unsqueeze(g, ctx.dim), F.unsqueeze(indices, ctx.dim)
        return ctx.call(AddAlong, *kept, dim=ctx.dim, shape=ctx.shape)


class MaxDim(PickOne):
    """Largest element along a dimension, and its index."""

    torch_name: ClassVar[str] = "MaxBackward0"
    ufunc: ClassVar[str] = "argmax"

    def indices(ctx, x: Array, dim: int) -> Array:
        refuse_kinds(x, "c", f"{ctx.ufunc.removeprefix('arg')}_cpu")
        return ctx.backend.arg_extreme(x, ctx.ufunc, dim, keepdims=True)


class MinDim(MaxDim):
    """Smallest element along a dimension, and its index."""

    torch_name, ufunc = "MinBackward0", "argmin"


def _extreme(
    name: str, whole: type[Op], along: type[Op], pairwise: Callable[..., Tensor], word: str
) -> Callable[..., Any]:
    """`max` or `min` in PyTorch's three forms."""

    def function(
        input: Tensor,
        dim: int | Tensor | None = None,
        keepdim: bool = False,
        *,
        other: Tensor | None = None,
        out: Any = None,
    ) -> Any:
        if dim is None and other is None and out is None and input._array.size:
            return whole.apply(input)  # the usual case, quickly
        if other is not None or isinstance(dim, Tensor):
            return pairwise(input, dim if other is None else other, out=out)
        if dim is not None and not isinstance(dim, int):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got (Tensor, "
                f"{type(dim).__name__})"
            )
        if dim is not None or not input._array.size:
            _check_not_empty(input, dim, name)
        if dim is None:
            y = whole.apply(input)
            return y if out is None else write_out(out, y, name)
        pair = along.apply(input, dim=input._dim(dim), keepdim=keepdim)
        if out is not None:
            pair = [write_out(o, y, name, casts=False) for o, y in zip(out, pair, strict=True)]
        return named(pair)

    named = getattr(return_types, name)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{word} element of all (0-d), along `dim` (fields values and indices), or of each pair "
        "with a second tensor. Raises for reductions of nothing."
    )
    return public(method=True)(function)


max = _extreme("max", MaxAll, MaxDim, maximum, "Largest")
min = _extreme("min", MinAll, MinDim, minimum, "Smallest")


@quick(1, "fiu", settings=True)
class Argument(Op):
    """Index of the largest or smallest element along a dimension, or of all flattened."""

    differentiable = False

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the index; `dim` is None for a 0-d array."""
        return backend.arg_extreme

    def forward(ctx, x: Array, name: str, axis: int | None, keepdims: bool) -> Array:
        for kind, word in (("c", "complex"), ("b", "bool")):
            if x.dtype.kind == kind:
                raise RuntimeError(f"{name}(): does not support {word} input")
        return ctx.backend.arg_extreme(x, name, axis, keepdims)


def _argument(name: str, word: str) -> Callable[..., Tensor]:
    def function(
        input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        if dim is not None and not isinstance(dim, int):
            raise TypeError(
                f"{name}(): argument 'dim' (position 2) must be int, not {type(dim).__name__}"
            )
        if dim is not None or not input._array.size:
            _check_not_empty(input, dim, name)
        d = None if dim is None or not input._array.ndim else input._dim(dim)
        y: Tensor = Argument.apply(input, name=name, axis=d, keepdims=keepdim)
        return y if out is None else write_out(out, y, name, casts=False)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Index of the {word} element of all (flattened) or along `dim`; int64."
    return public(method=True)(function)


argmax = _argument("argmax", "largest")
argmin = _argument("argmin", "smallest")


# From this length on, the middle of many is found by partition rather than by sorting all.
_LONG = 1024


class Median(PickOne):
    """Lower median along a dimension, and its index; NaN if there is one, or left out."""

    torch_name: ClassVar[str] = "MedianBackward1"

    def indices(ctx, x: Array, dim: int, ignore_nan: bool) -> Array:
        refuse_kinds(x, "bc", "median_cpu")
        xp, n = ctx.xp, x.shape[dim]
        if n >= _LONG and not (x.dtype.kind in "fV" and bool(xp.isnan(x).any())):
            middle = (*(slice(None),) * dim, slice((n - 1) // 2, (n - 1) // 2 + 1))
            return xp.argpartition(x, (n - 1) // 2, axis=dim)[middle]
        places = order(xp, x, dim, False)
        if x.dtype.kind not in "fV":
            middle = xp.full((), (n - 1) // 2, "int64")
        else:
            n_nan = xp.sum(xp.isnan(x), axis=dim, keepdims=True)
            known = xp.maximum((n - n_nan - 1) // 2, 0)
            # NaN sorts last: with one in the row, the last element is the answer.
            middle = known if ignore_nan else xp.where(n_nan > 0, n - 1, (n - 1) // 2)
        shape = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
        return xp.take_along_axis(places, xp.broadcast_to(middle, shape), dim)


class MedianOfAll(Median, overload="MedianBackward0"):
    """Of all elements."""


class Mode(PickOne):
    """Most frequent element along a dimension (the smallest of several), and its last index."""

    def indices(ctx, x: Array, dim: int) -> Array:
        refuse_kinds(x, "c", "mode_cpu")
        xp, n = ctx.xp, x.shape[dim]
        places = order(xp, x, dim, False)
        ordered = xp.moveaxis(xp.take_along_axis(x, places, dim), dim, -1)
        changes = xp.ones(ordered.shape, bool)
        changes[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        position = xp.broadcast_to(xp.arange(n), ordered.shape)
        start = ctx.backend.accumulate("maximum", xp.where(changes, position, 0), ordered.ndim - 1)
        # The first position at which the current run is as long as any run gets ends the mode.
        end = xp.argmax(position - start, axis=-1, keepdims=True)
        return xp.take_along_axis(places, xp.moveaxis(end, -1, dim), dim)


_OTHER_VALUES = (
    "Expected tensor for 'values' to have the same type as tensor for argument #2 'self'; but type "
    "torch.{out}Tensor does not equal torch.{result}Tensor (while checking arguments for median)"
)


def _median(name: str, ignore_nan: bool) -> Callable[..., Any]:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            flat = input.reshape(-1)  # type: ignore[attr-defined]
            if not flat.numel():
                return Tensor._wrap(input.backend.xp.full((), float("nan"), input._array.dtype))
            return MedianOfAll.apply(flat, dim=0, keepdim=False, ignore_nan=ignore_nan)[0]
        if not isinstance(dim, int):
            raise TypeError(
                f"{name}(): argument 'dim' (position 2) must be int, not {type(dim).__name__}"
            )
        _check_not_empty(input, dim, name)
        pair = Median.apply(input, dim=input._dim(dim), keepdim=keepdim, ignore_nan=ignore_nan)
        return getattr(return_types, name)(pair)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Lower median of all (0-d) or along `dim` (fields values and indices)" + (
        ", NaN left out." if ignore_nan else "; NaN if there is one."
    )
    return public(method=True)(accepts_out(function, casts=_OTHER_VALUES))


median = _median("median", ignore_nan=False)
nanmedian = _median("nanmedian", ignore_nan=True)


@public(method=True)
@functools.partial(
    accepts_out, casts="expected scalar type '{result}' but got '{out}' for values output"
)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """Most frequent element along `dim` (the smallest of several): fields values and indices."""
    d = input._dim(dim)
    if input.ndim and not input.shape[d]:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    return return_types.mode(Mode.apply(input, dim=d, keepdim=keepdim))
