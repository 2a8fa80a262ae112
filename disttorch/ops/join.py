"""Joining tensors (cat, stack and relatives) and taking them apart (split, chunk, unbind)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.autograd.quick import quick
from disttorch.autograd.quick_view import ViewsOp
from disttorch.backends import Backend
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.out import accepts_out
from disttorch.ops.shape import atleast_1d, atleast_2d, atleast_3d, reshape
from disttorch.ops.shape_math import strict_dim
from disttorch.tensor import Tensor

__all__ = [
    *("block_diag", "cat", "chunk", "column_stack", "concat", "concatenate", "dsplit", "dstack"),
    *("hsplit", "hstack", "row_stack", "split", "split_with_sizes", "stack", "tensor_split"),
    *("unbind", "vsplit", "vstack"),
]

Array = Any
Tensors = Sequence[Tensor]


# ---- joining -------------------------------------------------------------------------------------


@quick(None, keeps="shapes", settings=True)
class Cat(Op):
    """Tensors one after the other along an existing dimension."""

    promotes = "same"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of arrays and `dim`."""
        return partial(_joined, backend.xp)

    def forward(ctx, *arrays: Array, dim: int) -> Array:
        ctx.dim, ctx.shapes = dim, [a.shape for a in arrays]
        return _joined(ctx.xp, *arrays, dim=dim)

    def backward(ctx, g: Any) -> Any:
        before = (slice(None),) * ctx.dim
        grads, start = [], 0
        for shape in ctx.shapes:
            n = shape[ctx.dim]
            grads.append(g[(*before, slice(start, start + n))])
            start += n
        return tuple(grads)


def _joined(xp: Any, *arrays: Array, dim: int) -> Array:
    joined = xp.concatenate(arrays, dim)
    if joined.flags.c_contiguous:
        return joined
    if joined.ndim in (4, 5) and xp.moveaxis(joined, 1, -1).flags.c_contiguous:
        return joined  # images and volumes keep their channels last
    return xp.ascontiguousarray(joined)


_PLAIN = {Tensor}


def _check_tensors(tensors: Any, name: str) -> tuple[Tensor, ...]:
    if (type(tensors) is list or type(tensors) is tuple) and {*map(type, tensors)} == _PLAIN:
        return tuple(tensors)
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    checked = tuple(tensors)
    for i, t in enumerate(checked):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}"
            )
    return checked


def _check_cat_shapes(tensors: Tensors, dim: int) -> None:
    first = tensors[0]._array.shape
    for i, t in enumerate(tensors):
        shape = t._array.shape
        if shape == first:
            continue
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for d, (n, m) in enumerate(zip(first, shape, strict=True)):
            if n != m and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {n} "
                    f"but got size {m} for tensor number {i} in the list."
                )


def _shape_of_all(tensors: Any) -> tuple[int, ...]:
    """The shape that all tensors of a list or tuple have, () if it is anything else."""
    if (type(tensors) is not list and type(tensors) is not tuple) or not tensors:
        return ()
    shape: Any = None
    for t in tensors:
        if type(t) is not Tensor:
            return ()
        if shape is None:
            shape = t._array.shape
        elif t._array.shape != shape:
            return ()
    return shape  # type: ignore[no-any-return]


def _cat(name: str) -> Callable[..., Tensor]:
    def join(tensors: Tensors, dim: int = 0) -> Tensor:
        shape = _shape_of_all(tensors)
        if shape and shape != (0,):  # the usual case, quickly
            return Cat.apply(*tensors, dim=dim if 0 <= dim < len(shape) else tensors[0]._dim(dim))
        given = _check_tensors(tensors, name)
        if not given:
            raise ValueError("torch.cat(): expected a non-empty list of Tensors")
        kept = []
        for i, t in enumerate(given):
            shape = t._array.shape
            if not shape:
                raise RuntimeError(
                    f"zero-dimensional tensor (at position {i}) cannot be concatenated"
                )
            if shape != (0,):  # a legacy of PyTorch: those go with every shape
                kept.append(t)
        kept = kept or given[:1]
        d = kept[0]._dim(dim)
        _check_cat_shapes(kept, d)
        return Cat.apply(*kept, dim=d)

    join.__name__ = join.__qualname__ = name
    join.__doc__ = "Join tensors along an existing dimension; the dtype is their common one."
    return public()(accepts_out(join))


cat, concat, concatenate = map(_cat, ("cat", "concat", "concatenate"))


@quick(None, keeps="shapes", settings=True)
class Stack(Op):
    """Tensors of one shape along a new dimension."""

    promotes = "same"

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function of arrays and `dim`."""
        return partial(_stacked, backend.xp)

    def forward(ctx, *arrays: Array, dim: int) -> Array:
        ctx.dim = dim
        return _stacked(ctx.xp, *arrays, dim=dim)

    def backward(ctx, g: Any) -> Any:
        before = (slice(None),) * ctx.dim
        return tuple([g[(*before, i)] for i in range(len(ctx.edges))])


def _stacked(xp: Any, *arrays: Array, dim: int) -> Array:
    shape = arrays[0].shape
    if dim == 0 and shape:
        return xp.concatenate(arrays).reshape(len(arrays), *shape)
    key = (*(slice(None),) * dim, None)
    return xp.ascontiguousarray(xp.concatenate([a[key] for a in arrays], dim))


@public()
@accepts_out
def stack(tensors: Tensors, dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new dimension; the dtype is their common one."""
    shape = _shape_of_all(tensors)
    if shape and 0 <= dim <= len(shape):  # the usual case, quickly
        return Stack.apply(*tensors, dim=dim)
    given = _check_tensors(tensors, "stack")
    if not given:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = given[0]._array.shape
    n = len(first) + 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    for i, t in enumerate(given):
        if t._array.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(t.shape)} at entry {i}"
            )
    return Stack.apply(*given, dim=dim % n)


def _named_stack(
    name: str, prepare: Callable[[Tensor], Tensor], dim: Callable[[Tensor], int], along: str
) -> Callable[..., Tensor]:
    def join(tensors: Tensors) -> Tensor:
        given = tuple(prepare(t) for t in _check_tensors(tensors, name))
        if not given:
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        return cat(given, dim(given[0]))

    join.__name__ = join.__qualname__ = name
    join.__doc__ = f"Join tensors along {along}."
    return public()(accepts_out(join))


def _as_column(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim > 1 else reshape(tensor, (tensor.numel(), 1))


hstack = _named_stack(
    "hstack", atleast_1d, lambda t: 0 if t.ndim == 1 else 1, "the second dimension, 1-D the first"
)
vstack = _named_stack("vstack", atleast_2d, lambda t: 0, "the first dimension, 1-D ones as rows")
row_stack = _named_stack("row_stack", atleast_2d, lambda t: 0, "the first dimension, as `vstack`")
dstack = _named_stack("dstack", atleast_3d, lambda t: 2, "the third dimension")
column_stack = _named_stack(
    "column_stack", _as_column, lambda t: 1, "the second dimension, 1-D ones as columns"
)


@public()
def block_diag(*tensors: Tensor) -> Tensor:
    """Matrix with the given matrices (1-D: rows, 0-d: one element) along its diagonal."""
    blocks = [atleast_2d(t) for t in tensors]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for b in blocks:
        n, m = b.shape
        sides = [b.new_zeros(n, left), b, b.new_zeros(n, width - left - m)]  # type: ignore[attr-defined]
        rows.append(cat(sides, 1))
        left += m
    return cat(rows, 0)


# ---- taking apart --------------------------------------------------------------------------------


class Split(ViewsOp):
    """Consecutive parts of one dimension, views."""

    def forward(ctx, x: Array, lengths: tuple[int, ...], dim: int) -> Any:
        ctx.dim = dim
        parts, start = [], 0
        if not dim:
            for n in lengths:
                parts.append(x[start : start + n])
                start += n
            return tuple(parts)
        before = (slice(None),) * dim
        for n in lengths:
            parts.append(x[(*before, slice(start, start + n))])
            start += n
        return tuple(parts)

    def backward(ctx, *grads: Any) -> Any:
        return ctx.F.cat(grads, ctx.dim)


class SplitWithSizes(Split):
    """Consecutive parts of given lengths, views."""


def _split(op: type[Split], input: Tensor, lengths: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = op.apply(input, lengths=tuple(lengths), dim=dim)
    return parts


@public(method=True)
def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of consecutive parts of `dim`: of one length (the last may be shorter) or given ones.

    Raises RuntimeError for lengths that do not add up.
    """
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    d, lengths = split_lengths(tensor, split_size_or_sections, dim)
    return Split.apply(tensor, lengths=lengths, dim=d)


def split_lengths(tensor: Tensor, size: int, dim: int) -> tuple[int, tuple[int, ...]]:
    """Dimension and lengths of the parts of `size`; RuntimeError for a size that cannot be."""
    if not tensor.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = tensor._dim(dim)
    n = tensor._array.shape[d]
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and n:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
        )
    count = max(-(-n // size), 1) if size else 1
    lengths = (size,) * (count - 1)
    return d, (*lengths, n - sum(lengths))


@public(method=True)
def split_with_sizes(
    tensor: Tensor, split_sizes: Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of consecutive parts of `dim` of the given lengths, which must add up."""
    if not tensor.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = tensor._dim(dim)
    lengths = [int(n) for n in split_sizes]
    n = tensor._array.shape[d]
    if any(m < 0 for m in lengths):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={lengths}"
        )
    if sum(lengths) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
            f"dimension {dim}), but got split_sizes={lengths}"
        )
    return _split(SplitWithSizes, tensor, lengths, d)


@public(method=True)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of `dim`, all of one length but perhaps the last."""
    shape = input._array.shape
    if 0 <= dim < len(shape) and chunks > 0:  # the usual case, quickly
        return Split.apply(input, lengths=_chunks(shape[dim], chunks), dim=dim)
    d, lengths = chunk_lengths(input, chunks, dim)
    return Split.apply(input, lengths=lengths, dim=d)


@lru_cache(1 << 10)
def _chunks(n: int, chunks: int) -> tuple[int, ...]:
    """Lengths of at most `chunks` equal parts of `n`, the last perhaps shorter."""
    if not n:
        return (0,) * chunks
    size = -(-n // chunks)
    count = -(-n // size)
    return (*(size,) * (count - 1), n - size * (count - 1))


def chunk_lengths(input: Tensor, chunks: int, dim: int) -> tuple[int, tuple[int, ...]]:
    """Dimension and lengths of at most `chunks` parts; RuntimeError for none."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    d = input._dim(dim)
    return d, _chunks(input._array.shape[d], chunks)


@public(method=True)
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of a number of nearly equal parts of `dim`, or of the parts between given positions."""
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    d = input._dim(dim)
    n = input._array.shape[d]
    if isinstance(indices_or_sections, Tensor) and indices_or_sections.dtype.name != "int64":
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
            f"{TYPE_NAMES[indices_or_sections.dtype]}"
        )
    at = (
        indices_or_sections.tolist()
        if isinstance(indices_or_sections, Tensor)
        else (indices_or_sections)
    )
    if isinstance(at, int):
        if at <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {at}")
        return _split(SplitWithSizes, input, [n // at + (i < n % at) for i in range(at)], d)
    bounds = [0, *(slice(None, i).indices(n)[1] for i in at), n]
    views = []
    for start, stop in pairwise(bounds):
        views.append(input.narrow(d, start, max(stop - start, 0)))  # type: ignore[attr-defined]
    return tuple(views)


def _dim_split(name: str, least: int, dim: Callable[[int], int]) -> Callable[..., Any]:
    def apart(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a "
                f"tensor with {input.ndim} dimensions!"
            )
        d = dim(input.ndim)
        n = input.shape[d]
        if not isinstance(indices_or_sections, (int, Sequence)) or isinstance(
            indices_or_sections, str
        ):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got (Tensor, "
                f"{type(indices_or_sections).__name__}), but expected one of:\n"
                " * (Tensor input, int sections)\n * (Tensor input, tuple of ints indices)"
            )
        if isinstance(indices_or_sections, int) and (
            indices_or_sections == 0 or n % indices_or_sections
        ):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the "
                f"dimension {n} is not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, d)

    apart.__name__ = apart.__qualname__ = name
    apart.__doc__ = "Views of equal parts, or of those between given positions, of one dimension."
    return public(method=True)(apart)


hsplit = _dim_split("hsplit", 1, lambda n: 0 if n == 1 else 1)
vsplit = _dim_split("vsplit", 2, lambda n: 0)
dsplit = _dim_split("dsplit", 3, lambda n: 2)


class Unbind(ViewsOp):
    """All positions of a dimension, which is dropped, as views."""

    def forward(ctx, x: Array, dim: int) -> Any:
        ctx.dim = dim
        if not dim and x.ndim > 1:
            return tuple(x)  # the array library's own rows
        before = (slice(None),) * dim
        return tuple([x[(*before, i, Ellipsis)] for i in range(x.shape[dim])])

    def backward(ctx, *grads: Any) -> Any:
        return ctx.F.stack(grads, ctx.dim)


@public(method=True)
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all positions of `dim`, which is dropped; IndexError for a 0-d tensor."""
    d = dim if 0 <= dim < input._array.ndim else strict_dim(input, dim)
    parts: tuple[Tensor, ...] = Unbind.apply(input, dim=d)
    return parts
