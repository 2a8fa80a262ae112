"""Picking and writing where a mask is true; finding where that is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import check_writable, overwrite
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import CPP_NAMES, TYPE_NAMES
from disttorch.ops.fitted import fitted
from disttorch.ops.index import MaskedSelect
from disttorch.ops.index_dim import two_forms
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import expand
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.tensor import Tensor

__all__ = [
    *("argwhere", "masked_fill", "masked_fill_", "masked_scatter", "masked_scatter_"),
    *("masked_select", "nonzero"),
]

Array = Any


@quick(None, keeps="second", settings=True)
class FillNumber(Op):
    """x with a number where a mask is true."""

    torch_name = "MaskedFillBackward0"
    apart = 1

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Array]:
        """Return the function of an array, a mask and `value`."""
        return functools.partial(_filled, backend)

    def forward(ctx, x: Array, mask: Array, value: float) -> Array:
        ctx.save(1)
        return _filled(ctx.backend, x, mask, value)

    def backward(ctx, g: Any) -> Any:
        (mask,) = ctx.saved
        return ctx.call(FillNumber, g, mask, value=0), None


def _filled(backend: Backend, x: Array, mask: Array, value: float) -> Array:
    if x.size <= _FEW and x.shape == mask.shape and x.flags.c_contiguous:
        out = backend.xp.array(x)  # a copy, of a NumPy scalar too
        out[mask] = value
        return out
    if type(value) is not float or x.dtype.kind != "f":
        value = backend.asarray(value, x.dtype)
    return backend.where(mask, value, x)


_FEW = 256  # elements of which a copy, then written to, is sooner made than a choice


class MaskedFill(Op):
    """x with a number (in place) or 0-d y where a mask is true."""

    def forward(ctx, x: Array, y: Any, mask: Array, inplace: bool = False) -> Array:
        ctx.save(2)
        if inplace:
            ctx.xp.copyto(x, y, where=mask, casting="unsafe")
            return x
        if y.dtype is not x.dtype:
            y = y.astype(x.dtype)
        return ctx.backend.where(mask, y, x)

    def backward(ctx, g: Any) -> Any:
        (mask,) = ctx.saved
        gx = ctx.call(FillNumber, g, mask, value=0) if ctx.needs_grad(0) else None
        if not ctx.needs_grad(1):
            return gx, None
        return gx, ctx.F.where(mask, g, ctx.F.zeros_like(g))


_NOT_BOOL = "masked_fill_ only supports boolean masks, but got mask with dtype {}"


def _check_mask(input: Tensor, mask: Any, name: str, argument: str) -> None:
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name}(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    target = input._array.shape
    if mask._array.shape == target:
        shape = target
    else:
        shape = broadcast_shapes_checked(mask._array.shape, target)
    if mask._array.dtype.kind != "b":
        raise RuntimeError(argument.format(_cpp_name(mask)))
    if name.endswith("_") and shape != target:
        raise RuntimeError(
            f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(shape)}"
        )


def _cpp_name(mask: Any) -> str:
    return (
        CPP_NAMES[mask.dtype].replace("uint8_t", "unsigned char")
        if isinstance(mask, Tensor)
        else ""
    )


def _masked_fill(input: Tensor, mask: Tensor, value: Any, *, inplace: bool = False) -> Tensor:
    name = "masked_fill_" if inplace else "masked_fill"
    _check_mask(input, mask, name, _NOT_BOOL)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        if input.dtype.is_integral:
            fitted(value.item(), input.dtype)  # for its check
    else:
        value = fitted(value, input.dtype)
    if not inplace:
        if isinstance(value, Tensor):
            return MaskedFill.apply(input, value, mask)
        return FillNumber.apply(input, mask, value=value)
    check_writable(input, expanded=True)
    result = MaskedFill.apply(input, value, mask, inplace=True)
    return overwrite(input, result, expanded=True)


masked_fill, masked_fill_ = two_forms(
    "masked_fill",
    _masked_fill,
    "``(input, mask, value)``: the tensor with a number or 0-d tensor where a bool mask is true.",
)


@public(method=True)
@functools.partial(
    accepts_out,
    casts="masked_select(): self and result must have the same scalar type",
    shares=False,
)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """Elements where a bool mask is true, 1-D; tensor and mask are broadcast to each other."""
    _check_mask(input, mask, "masked_select", "masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes_checked(mask.shape, input.shape)
    return MaskedSelect.apply(expand(input, shape), expand(mask, shape), template=(0,))


class MaskedScatter(Op):
    """x with the first elements of y, in order, where a mask of x's shape is true."""

    def forward(ctx, x: Array, y: Array, mask: Array) -> Array:
        ctx.y_shape = y.shape
        ctx.save(2)
        out = x.copy()
        out[mask] = y.reshape(-1)[: int(mask.sum())]
        return out

    def backward(ctx, g: Any) -> Any:
        (mask,) = ctx.saved
        gx = ctx.call(FillNumber, g, mask, value=0) if ctx.needs_grad(0) else None
        if not ctx.needs_grad(1):
            return gx, None
        return gx, ctx.call(Compress, g, mask, shape=ctx.y_shape)


class Compress(Op):
    """Elements of x where a mask is true, in order, followed by zeros, in a given shape."""

    def forward(ctx, x: Array, mask: Array, shape: tuple[int, ...]) -> Array:
        ctx.x_shape = x.shape
        ctx.save(1)
        out = ctx.xp.zeros(shape, x.dtype)
        picked = x[mask]
        out.reshape(-1)[: picked.size] = picked
        return out

    def backward(ctx, g: Any) -> Any:
        (mask,) = ctx.saved
        zeros = ctx.constant(ctx.xp.zeros(ctx.x_shape, g.dtype.np if ctx.F.recorded else g.dtype))
        return ctx.call(MaskedScatter, zeros, g, mask), None


def _masked_scatter(
    input: Tensor, mask: Tensor, source: Tensor, *, inplace: bool = False
) -> Tensor:
    name = "masked_scatter_" if inplace else "masked_scatter"
    kind = TYPE_NAMES.get(getattr(mask, "dtype", None), "")  # type: ignore[call-overload]
    text = f"masked_scatter_ only supports boolean masks, but got mask with dtype {kind}"
    _check_mask(input, mask, name, text)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{TYPE_NAMES[input.dtype]} and {TYPE_NAMES[source.dtype]}"
        )
    shape = broadcast_shapes_checked(mask.shape, input.shape)
    wide, mask = expand(input, shape), expand(mask, shape)
    if source.numel() < int(mask._array.sum()):
        raise RuntimeError("Number of elements of source < number of ones in mask")
    result = MaskedScatter.apply(wide, source, mask)
    return overwrite(input, result) if inplace else result


masked_scatter, masked_scatter_ = two_forms(
    "masked_scatter",
    _masked_scatter,
    "``(input, mask, source)``: write the elements of `source`, in order, where a mask is true.",
)


@public(method=True)
@accepts_out
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Int64 indices (n, ndim) of the elements that are not zero, or one tensor a dimension."""
    xp = input.backend.xp
    array = input._array
    if as_tuple:
        found = xp.nonzero(array.reshape(1) if not array.ndim else array)
        return tuple(Tensor._wrap(i) for i in found)
    if not array.ndim:
        return Tensor._wrap(xp.zeros((int(bool(array)), 0), "int64"))
    return Tensor._wrap(xp.stack(xp.nonzero(array), axis=1))


@public(method=True)
def argwhere(input: Tensor) -> Tensor:
    """Indices (n, ndim) of the elements that are not zero."""
    found: Tensor = nonzero(input)
    return found
