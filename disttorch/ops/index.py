"""``x[index]`` and ``x[index] = value`` in every form that PyTorch knows.

An index is read in two stages, as PyTorch does: ints, slices, None and Ellipsis make a view
(`BasicIndex`); tensors, lists and masks then pick elements from that view (`AdvancedIndex`). Where
the picked dimensions go in the result is NumPy's rule, applied to the second stage only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import (
    check_writable,
    overwrite,
    refuse_expanded,
    refuse_overlap,
    refuse_shared,
)
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.backends import Backend
from disttorch.dtype import CPP_NAMES, TYPE_NAMES, float64
from disttorch.ops.cast import broadcasts_to, copy_, to
from disttorch.ops.create import tensor
from disttorch.ops.fitted import fitted
from disttorch.ops.index_parse import Parsed, parse, picks_first, plain_index
from disttorch.ops.shape import reshape
from disttorch.ops.shape_region import NewAxis, Select, view_at
from disttorch.tensor import Tensor

__all__ = ["__getitem__", "__setitem__", "index_put", "index_put_"]

Array = Any
# Which dimension an index input picks from: at each dimension the number of an input, or None for
# a dimension that is kept. A mask stands for as many dimensions as it has.
Template = tuple[int | None, ...]


def advanced_key(indices: Sequence[Array], template: Template) -> tuple[Any, ...]:
    """NumPy index for some index arrays."""
    return tuple([slice(None) if k is None else indices[k] for k in template])


def _only_mask(indices: Sequence[Array]) -> bool:
    """Whether a mask is the only index: then no element is picked twice."""
    return len(indices) == 1 and indices[0].dtype.kind == "b"


@quick(None, keeps="second, shapes", settings=True)
class AdvancedIndex(Op):
    """x at the places that index arrays name."""

    torch_name = "IndexBackward0"

    apart = 1

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Array]:
        """Return the function of arrays and `template`."""
        return partial(_picked, backend.xp)

    def forward(ctx, x: Array, *indices: Array, template: Template) -> Array:
        ctx.shapes, ctx.template = [x.shape], template
        ctx.save(*range(1, len(indices) + 1))
        try:
            return _picked(ctx.xp, x, *indices, template=template)
        except IndexError as error:
            raise IndexError(explain(x.shape, indices, template)) from error

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AddIndexed, g, *ctx.saved, template=ctx.template, shape=ctx.shapes[0])


def _picked(xp: Any, x: Array, *indices: Array, template: Template) -> Array:
    if len(indices) == 1:
        index = indices[0]
        kind = index.dtype.kind
        if kind == "b" and index.ndim == 1:
            (index,) = index.nonzero()
            kind = "i"
        if kind != "b":
            return x.take(index, len(template) - 1)
    # NumPy's order in memory depends on where the index arrays stand.
    return xp.ascontiguousarray(x[advanced_key(indices, template)])


@quick(None, keeps="second, shapes", settings=True)
class IndexSelect(AdvancedIndex):
    """x at some positions of one dimension."""

    torch_name = "IndexSelectBackward0"


@quick(None, keeps="second, shapes", settings=True)
class Take(AdvancedIndex):
    """x at some positions of all its elements."""

    torch_name = "TakeBackward0"


@quick(None, keeps="second, shapes", settings=True)
class MaskedSelect(AdvancedIndex):
    """x where a mask is true."""

    torch_name = "MaskedSelectBackward0"


class AddIndexed(Op):
    """Zeros of `shape`, with g added at the places that index arrays name."""

    def forward(ctx, g: Array, *indices: Array, template: Template, shape: Any) -> Array:
        ctx.template = template
        ctx.save(*range(1, len(indices) + 1))
        out = ctx.xp.zeros(shape, g.dtype)
        key = advanced_key(indices, template)
        if _only_mask(indices):
            out[key] = g
        else:
            ctx.backend.scatter_add(out, key, g)
        return out

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AdvancedIndex, g, *ctx.saved, template=ctx.template)


def explain(shape: Sequence[int], indices: Sequence[Array], template: Template) -> str:
    """PyTorch's text for index arrays that are out of bounds or do not broadcast."""
    d = indexed = 0  # PyTorch counts the dimensions that have an index
    for k in template:
        if k is None:
            d += 1
        elif indices[k].dtype.kind == "b":
            d, indexed = d + indices[k].ndim, indexed + indices[k].ndim
        else:
            n = shape[d]
            wrong = [i for i in indices[k].reshape(-1).tolist() if not -n <= i < n]
            if wrong:
                return f"index {wrong[0]} is out of bounds for dimension {indexed} with size {n}"
            d, indexed = d + 1, indexed + 1
    shapes = ", ".join(
        str([int(i.sum())] if i.dtype.kind == "b" else list(i.shape)) for i in indices
    )
    return f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"


class IndexPut(Op):
    """x with y written to (or, to `accumulate`, added at) the places that index arrays name.

    `inplace` writes into x itself; its history is then taken over by `overwrite`.
    """

    def forward(
        ctx,
        x: Array,
        y: Any,
        *indices: Array,
        template: Template,
        accumulate: bool = False,
        inplace: bool = False,
    ) -> Array:
        ctx.template, ctx.accumulate = template, accumulate
        ctx.save(*range(2, len(indices) + 2))
        out = x if inplace else x.copy()
        key = advanced_key(indices, template)
        try:
            if accumulate:
                ctx.backend.scatter_add(out, key, y)
            else:
                out[key] = y
        except IndexError as error:
            raise IndexError(explain(x.shape, indices, template)) from error
        except (TypeError, ValueError) as error:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(getattr(y, 'shape', ()))} cannot be "
                f"broadcast to indexing result of shape {_picked_shape(ctx.xp, x, key)}"
            ) from error
        return out

    def backward(ctx, g: Any) -> Any:
        indices = ctx.saved
        gx = g
        if not ctx.accumulate and ctx.needs_grad(0):
            gx = ctx.call(IndexPut, g, 0, *indices, template=ctx.template)
        if not ctx.needs_grad(1):
            return gx, None
        return gx, ctx.call(AdvancedIndex, g, *indices, template=ctx.template)


def _picked_shape(xp: Any, x: Array, key: tuple[Any, ...]) -> list[int]:
    """Shape of ``x[key]``, even if indices are out of bounds."""
    lengths = {
        n: xp.zeros_like(k) if not isinstance(k, slice) and k.dtype.kind != "b" else k
        for n, k in enumerate(key)
    }
    return list(x[tuple(lengths.values())].shape)


def put_indexed(
    op: type[IndexPut],
    input: Tensor,
    value: Any,
    indices: Sequence[Tensor],
    template: Template,
    *,
    accumulate: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Apply an `IndexPut`, out of place or into `input`."""
    if not inplace:
        return op.apply(input, value, *indices, template=template, accumulate=accumulate)
    check_writable(input, expanded=True)  # PyTorch only warns here
    refuse_shared(input, (value,))
    result = op.apply(
        input, value, *indices, template=template, accumulate=accumulate, inplace=True
    )
    return overwrite(input, result, expanded=True)


# ---- reading -------------------------------------------------------------------------------------


def getitem(input: Tensor, index: Any) -> Tensor:
    """Read elements: a view for ints, slices, None and Ellipsis, a copy for tensors and lists.

    Raises IndexError, with PyTorch's texts, for what is out of range or no index.
    """
    if type(index) is int and input._array.ndim:
        n = input._array.shape[0]
        if not -n <= index < n:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {n}")
        return Select.of(input, {"index": (index, Ellipsis)})
    if index is None:
        return NewAxis.of(input, {"index": (None, Ellipsis)})
    if type(index) is slice or type(index) is tuple:
        plain = plain_index(index if type(index) is tuple else (index,), input._array.shape)
        if plain is not None:
            return view_at(input, plain)
    if isinstance(index, Tensor) and type(index._array) is type(input._array):
        if picks_first(index._array, input._array.shape):
            return AdvancedIndex.apply(input, index, template=_FIRST)
    parsed = parse(input, index)
    if parsed.basic is not None:
        input = view_at(input, parsed.basic)
    if parsed.template is None:
        return input
    indices = _as_tensors(input, parsed)
    return AdvancedIndex.apply(input, *indices, template=parsed.template)


_FIRST = (0,)  # the template of one index, of the first dimension


def _as_tensors(input: Tensor, parsed: Parsed) -> list[Tensor]:
    """Index tensors, on the device of the tensor they index."""
    kind = type(input._array)
    return [i if type(i._array) is kind else to(i, input.device) for i in parsed.indices]


# ---- writing -------------------------------------------------------------------------------------


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """Write a number or a tensor, broadcast, into the elements that `index` names.

    Raises IndexError as reading does, RuntimeError for a value that does not fit, TypeError for
    what is neither number nor tensor.
    """
    if isinstance(value, Tensor):
        value = _without_leading_ones(value)
        if type(value._array) is not type(input._array):
            value = to(value, input.device)
    elif not isinstance(value, (int, float, complex)) and not (
        hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0
    ):
        raise TypeError(
            f"can't assign a {_type_name(value)} to a torch.{TYPE_NAMES[input.dtype]}Tensor"
        )
    elif type(value) not in _REAL or not 0 <= value <= _FITS_ALL:
        value = _fitted(value, input)
    if type(value) in _REAL and isinstance(index, Tensor) and _set_numbers(input, index, value):
        return
    parsed = parse(input, index)
    if STATE.enabled and (
        input.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
    ):
        _set_recorded(input, parsed, value)
        return
    check_writable(input, expanded=True)  # what matters is the part that is written to
    _set_raw(input, parsed, value)
    input._cell[0] += 1


_REAL = (int, float, bool)
_FITS_ALL = 127  # what every dtype holds


def _set_numbers(input: Tensor, index: Tensor, value: float) -> bool:
    """Write a number where an index picks from the first dimension; False where it is not so easy.

    That is: history is recorded, the index is of another kind or device, or there is an error.
    """
    array, places = input._array, index._array
    if (input.requires_grad and STATE.enabled) or type(places) is not type(array):
        return False
    if not picks_first(places, array.shape):
        return False
    check_writable(input, expanded=True)
    try:
        array[places] = value
    except IndexError:  # before anything is written
        return False
    input._cell[0] += 1
    return True


def _fitted(value: Any, input: Tensor) -> Any:
    """A number as one that elements of `input` hold; ValueError beyond int64, RuntimeError else."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("Overflow when unpacking long long")
    if not isinstance(value, (int, float, complex)):
        return value
    kind = input.dtype
    # As PyTorch has it, 16-bit numbers are converted from doubles, and may become infinite.
    return fitted(value, float64 if kind.is_floating_point and kind.itemsize == 2 else kind)


def _type_name(value: Any) -> str:
    kind = type(value)
    module = kind.__module__
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"


def _without_leading_ones(value: Tensor) -> Tensor:
    shape = value._array.shape
    if not shape or shape[0] != 1:
        return value
    kept = next((d for d, n in enumerate(shape) if n != 1), len(shape))
    return reshape(value, shape[kept:])


def _check_fits(value: Tensor, target: Sequence[int]) -> None:
    """Raise PyTorch's error, that of `expand`, if a value cannot be broadcast to a view's shape."""
    shape = value._array.shape
    if broadcasts_to(shape, target):
        return
    lead = len(target) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({value.type()}{{{list(shape)}}}, size={list(target)}): the number of sizes "
            f"provided ({len(target)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({len(shape)})"
        )
    d = next(d for d, n in enumerate(shape) if n not in (1, target[lead + d]))
    raise RuntimeError(
        f"The expanded size of the tensor ({target[lead + d]}) must match the existing size "
        f"({shape[d]}) at non-singleton dimension {lead + d}.  Target sizes: {list(target)}.  "
        f"Tensor sizes: {list(shape)}"
    )


def _set_raw(input: Tensor, parsed: Parsed, value: Any) -> None:
    """Write without history."""
    array = input._array
    key = parsed.basic or (Ellipsis,)
    if parsed.template is None and 0 in array.strides:
        refuse_expanded(array[key])
    if isinstance(value, Tensor):
        if parsed.template is None and value.ndim:
            region = array[key]
            _check_fits(value, region.shape)
            if value._cell is input._cell:
                refuse_overlap(region, value._array)
        value = value._array
        if value.dtype.kind == "c" and array.dtype.kind not in "cb":
            value = value.real
    if parsed.template is None:
        try:
            array[key] = value
        except (OverflowError, TypeError, ValueError) as error:
            raise RuntimeError(
                f"value cannot be converted to type {CPP_NAMES[input.dtype]} without overflow"
            ) from error
        return
    region = array if parsed.basic is None else array[parsed.basic]
    arrays = [i._array for i in _as_tensors(input, parsed)]
    IndexPut.run(input.backend, region, value, *arrays, template=parsed.template, inplace=True)


def _set_recorded(input: Tensor, parsed: Parsed, value: Any) -> None:
    """Write and take over the history of the value."""
    target = input if parsed.basic is None else view_at(input, parsed.basic)
    if parsed.template is None:
        if target is input:
            target = view_at(input, (Ellipsis,))
        if isinstance(value, Tensor):
            _check_fits(value, target._array.shape)
        copy_(target, value)
        return
    if not isinstance(value, Tensor):
        value = tensor(value, dtype=input.dtype, device=input.device)
    put_indexed(IndexPut, target, value, _as_tensors(input, parsed), parsed.template, inplace=True)


@public(method=True)
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Return the tensor with `values` written to, or added at, ``input[indices]``."""
    return _index_put(input, indices, values, accumulate, inplace=False)


@public(method=True, function=False)
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Write `values` to, or add them at, ``input[indices]`` in place."""
    return _index_put(input, indices, values, accumulate, inplace=True)


def _index_put(
    input: Tensor, indices: Any, values: Tensor, accumulate: bool, inplace: bool
) -> Tensor:
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{TYPE_NAMES[input.dtype]} for the destination and {TYPE_NAMES[values.dtype]} for the "
            "source."
        )
    # None keeps a dimension here, where in x[None] it makes one.
    parsed = parse(input, tuple([slice(None) if i is None else i for i in indices]), select=False)
    if parsed.template is None:
        warnings.warn("index_put: no index tensor was given", UserWarning, stacklevel=3)
        return input
    return put_indexed(
        IndexPut,
        input,
        values,
        _as_tensors(input, parsed),
        parsed.template,
        accumulate=accumulate,
        inplace=inplace,
    )


__getitem__ = public(method=True, function=False)(getitem)
__setitem__ = public(method=True, function=False)(setitem)
