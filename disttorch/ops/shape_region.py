"""Views of a part of the memory: select, narrow, diagonal, unfold, as_strided, resize_."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import check_writable
from disttorch.autograd.op import Op, public
from disttorch.autograd.quick_view import ViewOp
from disttorch.layout import contiguous_format
from disttorch.ops.shape_math import contiguous_strides, sizes
from disttorch.tensor import Tensor

__all__ = [
    *("as_strided", "as_strided_", "diagonal", "narrow", "resize_", "resize_as_", "select"),
    *("storage_offset", "swapdims_"),
    *("swapaxes_", "squeeze_", "t_", "transpose_", "unfold", "unsqueeze_"),
]

Array = Any


class Embed(Op):
    """Zeros of `shape` with x in the region that the view op `op` leads to."""

    def forward(ctx, x: Array, shape: tuple[int, ...], view: type[Op], params: Any) -> Array:
        ctx.view_op, ctx.params = view, params
        out = ctx.xp.zeros(shape, x.dtype)
        view.run(ctx.backend, out, **params)[...] = x
        return out

    def backward(ctx, g: Any) -> Any:
        return ctx.call(ctx.view_op, g, **ctx.params)


class BasicIndex(ViewOp):
    """x[index] with ints, slices, None and one Ellipsis, a view."""

    notes = ("index",)
    look = staticmethod(lambda x, params: x[params["index"]])

    def forward(ctx, x: Array, index: tuple[Any, ...]) -> Array:
        ctx.shape, ctx.index = x.shape, index
        return x[index]

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Embed, g, shape=ctx.shape, view=BasicIndex, params={"index": ctx.index})


class Select(BasicIndex):
    """The same, by an index that ends with an int."""


class Slice(BasicIndex):
    """The same, by an index that ends with a slice."""


class NewAxis(BasicIndex):
    """The same, by an index that ends with None."""

    torch_name = "UnsqueezeBackward0"


class Alias(BasicIndex):
    """The same, by an Ellipsis alone."""


def view_at(input: Tensor, index: tuple[Any, ...]) -> Tensor:
    """View of x[index]. PyTorch goes in steps, each a node; ours has the name of the last."""
    op: type[BasicIndex] = Alias
    for i in index:
        if i is not Ellipsis:
            op = NewAxis if i is None else Slice if type(i) is slice else Select
    return op.of(input, {"index": index})


@public(method=True)
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """View of position `index` of dimension `dim`, which is dropped; IndexError if out of range."""
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = input._dim(dim)
    n = input._array.shape[d]
    i = index.__index__()
    if not -n <= i < n:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(input.shape)} at "
            f"dimension {d}"
        )
    return Select.apply(input, index=(*(slice(None),) * d, i, Ellipsis))


@public(method=True)
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """View of `length` positions of dimension `dim` from `start`; raises if they do not exist."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = input._dim(dim)
    n = input._array.shape[d]
    if isinstance(start, Tensor) and (start.ndim or start._array.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    first = start.__index__()
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= first <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {first})"
        )
    first += n if first < 0 else 0
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    part = slice(first, first + length)
    return Slice.apply(input, index=(*(slice(None),) * d, part, Ellipsis))


# ---- diagonals -----------------------------------------------------------------------------------


class Diagonal(ViewOp):
    """Diagonal of two dimensions as the last dimension, a view."""

    def forward(ctx, x: Array, offset: int, dim1: int, dim2: int) -> Array:
        ctx.shape = x.shape
        ctx.params = {"offset": offset, "dim1": dim1, "dim2": dim2}
        row, column = max(-offset, 0), max(offset, 0)
        n = max(0, min(x.shape[dim1] - row, x.shape[dim2] - column))
        start: list[Any] = [slice(None)] * x.ndim
        start[dim1], start[dim2] = slice(row, None), slice(column, None)
        others = [d for d in range(x.ndim) if d not in (dim1, dim2)]
        shape = [*(x.shape[d] for d in others), n]
        strides = [*(x.strides[d] for d in others), x.strides[dim1] + x.strides[dim2]]
        return ctx.backend.as_strided(x[tuple(start)] if n else x, shape, strides)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Embed, g, shape=ctx.shape, view=Diagonal, params=ctx.params)


@public(method=True)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """View of the diagonal of two different dimensions as the last dimension."""
    a, b = input._dim(dim1), input._dim(dim2)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return Diagonal.apply(input, offset=offset, dim1=a, dim2=b)


# ---- windows -------------------------------------------------------------------------------------


class Unfold(Op):
    """Windows of dimension `dim` as a new last dimension, a view."""

    view = True

    def forward(ctx, x: Array, dim: int, size: int, step: int) -> Array:
        ctx.params = {"shape": x.shape, "dim": dim, "step": step}
        if not x.ndim:
            x = x.reshape(1)[:size]
            return ctx.backend.as_strided(x, (1, size)[1:], (x.itemsize,))
        n = (x.shape[dim] - size) // step + 1
        shape = (*x.shape[:dim], n, *x.shape[dim + 1 :], size)
        stride = x.strides[dim]
        strides = (*x.strides[:dim], stride * step, *x.strides[dim + 1 :], stride)
        return ctx.backend.as_strided(x, shape, strides)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Overlap, g, **ctx.params)


class Overlap(Op):
    """Windows laid back where they came from, overlapping parts added: undoes `Unfold`."""

    torch_name = "UnfoldBackwardBackward0"

    def forward(ctx, x: Array, shape: tuple[int, ...], dim: int, step: int) -> Array:
        ctx.params = {"dim": dim, "size": x.shape[-1], "step": step}
        if not shape:
            return x.sum(dtype=x.dtype)
        out = ctx.xp.zeros(shape, x.dtype)
        before = (slice(None),) * dim
        last = (x.shape[dim] - 1) * step + 1
        for k in range(x.shape[-1]):
            out[(*before, slice(k, k + last, step))] += x[..., k]
        return out

    def backward(ctx, g: Any) -> Any:
        return ctx.call(Unfold, g, **ctx.params)


@public(method=True, function=False)
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """View of all windows of `size` positions of a dimension, `step` apart, as the last dimension.

    Raises RuntimeError for windows longer than the dimension or a step below 1.
    """
    d = input._dim(dimension)
    n = input._array.shape[d] if input.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return Unfold.apply(input, dim=d, size=size, step=step)


# ---- as_strided ----------------------------------------------------------------------------------


class AsStrided(Op):
    """View of the memory with any size and strides (in elements), `shift` from x's first element.

    `layout` holds the shape and strides x must have: a gradient is brought into them first.
    """

    view = True

    def forward(
        ctx, x: Array, size: tuple[int, ...], stride: tuple[int, ...], shift: int, layout: Any
    ) -> Array:
        ctx.params = {"size": size, "stride": stride, "shift": shift, "layout": layout}
        item = x.dtype.itemsize
        strides = [s * item for s in stride]
        if tuple([s // item for s in x.strides]) == layout[1]:
            return ctx.backend.as_strided(x, size, strides, shift * item)
        low, memory = memory_for(ctx.xp, x.dtype, layout, (size, stride), shift)
        strided_in(ctx.backend, memory, *layout, -low)[...] = x
        return ctx.backend.as_strided(memory, size, strides, (shift - low) * item)

    def backward(ctx, g: Any) -> Any:
        return ctx.call(UndoStrided, g, **ctx.params)


class UndoStrided(Op):
    """Gradient of `AsStrided`: each element adds to all the places of x that share its memory."""

    def forward(
        ctx, g: Array, size: tuple[int, ...], stride: tuple[int, ...], shift: int, layout: Any
    ) -> Array:
        ctx.params = {"size": size, "stride": stride, "shift": shift, "layout": layout}
        low, memory = memory_for(ctx.xp, g.dtype, layout, (size, stride), shift)
        places = ctx.xp.arange(memory.shape[0])
        written = strided_in(ctx.backend, places, size, stride, shift - low)
        ctx.backend.scatter_add(memory, written.reshape(-1), g.reshape(-1))
        uses = ctx.xp.zeros(memory.shape, g.dtype)
        read = strided_in(ctx.backend, places, *layout, -low).reshape(-1)
        ctx.backend.scatter_add(uses, read, ctx.xp.ones(read.shape, g.dtype))
        return (memory[read] / uses[read]).reshape(layout[0])

    def backward(ctx, g: Any) -> Any:
        return ctx.call(AsStrided, g, **ctx.params)


def _extent(size: Sequence[int], stride: Sequence[int], start: int) -> int:
    """One past the last element that a strided view reaches."""
    if 0 in size:
        return start
    return start + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1


def memory_for(xp: Any, np_dtype: Any, layout: Any, view: Any, shift: int) -> tuple[int, Array]:
    """Zeroed memory that holds both a tensor and a view; and the offset of its first element."""
    low = min(0, shift)
    return low, xp.zeros(max(_extent(*layout, 0), _extent(*view, shift)) - low, np_dtype)


def strided_in(backend: Any, memory: Array, size: Any, stride: Any, start: int) -> Array:
    """View of 1-D memory, sizes and strides in elements."""
    item = memory.dtype.itemsize
    return backend.as_strided(memory, size, [s * item for s in stride], start * item)


@public(method=True, function=False)
def storage_offset(input: Tensor) -> int:
    """Offset of the first element in the memory that the tensor is a view of, in elements."""
    array = input._array
    return input.backend.storage(array)[0] // array.dtype.itemsize


@public(method=True)
def as_strided(
    input: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """View of the memory with any size and strides, in elements.

    `storage_offset` counts from the start of the memory, by default the tensor's own. Raises
    RuntimeError where the view would leave the memory.
    """
    array = input._array
    item = array.dtype.itemsize
    offset, nbytes = input.backend.storage(array)
    own = offset // item
    start = own if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    needed = _extent(size, stride, start) * item
    if needed > nbytes or start < 0:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and "
            f"itemsize {item} requiring a storage size of {needed} are out of bounds for storage "
            f"of size {nbytes}"
        )
    return AsStrided.apply(
        input,
        size=tuple(size),
        stride=tuple(stride),
        shift=start - own,
        layout=(array.shape, input.stride()),
    )


# ---- in-place changes of shape -------------------------------------------------------------------


@public(method=True, function=False)
def resize_(input: Tensor, *size: Any, memory_format: Any = contiguous_format) -> Tensor:
    """Change the size in place, keeping the elements in memory order; new ones are uninitialised.

    Raises RuntimeError for a tensor that requires grad, and for one in memory shared with other
    processes, which would not see it in a larger one.
    """
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = sizes(size)
    array, backend = input._array, input.backend
    if array.shape == tuple(shape):
        return input
    item = array.dtype.itemsize
    offset, nbytes = backend.storage(array)
    if offset + math.prod(shape) * item > nbytes:
        if backend.is_shared(array):
            raise RuntimeError("Trying to resize storage that is not resizable")
        grown = backend.xp.empty(math.prod(shape), array.dtype)
        kept = (nbytes - offset) // item
        grown[:kept] = backend.as_strided(array, (kept,), (item,))
        array = grown
    strides = [s * item for s in contiguous_strides(shape)]
    input._array = backend.as_strided(array, shape, strides)
    return input


@public(method=True, function=False)
def resize_as_(input: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """Change the size in place to that of another tensor."""
    return resize_(input, the_template.shape)


def _becomes(name: str) -> Any:
    """In-place variant of a view: the tensor itself takes on the view's shape and strides."""

    def change(input: Tensor, *args: Any, **keywords: Any) -> Tensor:
        check_writable(input, expanded=True)
        old = input if input._view is None else input.as_subclass(Tensor)
        viewed = getattr(old, name)(*args, **keywords)
        if viewed is not old:
            # The node keeps what the old tensor was; a view record of itself would be a cycle.
            if old is not input:
                input._view = viewed._view
            input._array = viewed._array
            if STATE.enabled:
                input._grad_fn, input._output_nr = viewed._grad_fn, viewed._output_nr
                input._requires_grad = viewed._requires_grad
            input._cell[0] += 1
        return input

    change.__name__ = change.__qualname__ = f"{name}_"
    change.__doc__ = f"In-place version of `{name}`: only shape and strides change."
    return public(method=True, function=False)(change)


squeeze_, unsqueeze_, t_ = _becomes("squeeze"), _becomes("unsqueeze"), _becomes("t")
transpose_, swapaxes_ = _becomes("transpose"), _becomes("swapaxes")
swapdims_, as_strided_ = _becomes("swapdims"), _becomes("as_strided")
