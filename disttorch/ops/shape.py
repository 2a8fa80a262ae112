"""Views with another shape or order of dimensions: view, reshape, squeeze, permute, expand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from disttorch.autograd.op import public
from disttorch.autograd.quick_view import ViewOp
from disttorch.backends import BACKEND_BY_TYPE
from disttorch.dtype import TYPE_NAMES
from disttorch.dtype import dtype as Dtype
from disttorch.ops.cast_complex import conj
from disttorch.ops.shape_math import (
    broadcast_shapes_checked,
    distinct_dims,
    resolve_shape,
    sizes,
    view_is_possible,
)
from disttorch.tensor import Tensor

__all__ = [
    *("H", "T", "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors"),
    *("broadcast_to", "expand", "expand_as", "flatten", "mH", "mT", "moveaxis", "movedim"),
    *("permute", "ravel", "reshape", "reshape_as", "squeeze", "swapaxes", "swapdims", "t"),
    *("transpose", "unflatten", "unsqueeze", "view", "view_as"),
]

Array = Any


class Reshape(ViewOp):
    """Same elements in row-major order; a view where strides allow."""

    torch_name = "ViewBackward0"
    may_copy = True
    look = staticmethod(lambda x, params: x.reshape(params["shape"]))

    def forward(ctx, x: Array, shape: tuple[int, ...]) -> Array:
        ctx.shape = x.shape
        return x.reshape(shape)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.reshape(g, ctx.shape)


@public(method=True)
def reshape(input: Tensor, *args: Any, shape: Any = ()) -> Tensor:
    """Same elements in another shape (one -1 is inferred): a view if possible, else a copy."""
    shape = args or (shape,)
    return Reshape.of(input, {"shape": resolve_shape(sizes(shape), input._array.size)})


@public(method=True, function=False)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """Same elements in the shape of `other`."""
    return reshape(input, other.shape)


class ViewDtype(ViewOp):
    """The same memory as elements of another dtype."""

    differentiable = False

    def forward(ctx, x: Array, np_dtype: Any) -> Array:
        return x.view(np_dtype)


def _view_dtype(input: Tensor, dtype: Dtype) -> Tensor:
    old, new = input.itemsize, dtype.itemsize
    if old != new:
        if input.ndim == 0:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {TYPE_NAMES[input.dtype]} as {TYPE_NAMES[dtype]} "
                "(different element sizes)"
            )
        if new > old and input.shape[-1] * old % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view "
                f"{TYPE_NAMES[input.dtype]} as {TYPE_NAMES[dtype]} (different element sizes), but "
                f"got {input.shape[-1]}"
            )
    return ViewDtype.apply(input, np_dtype=dtype.np)


@public(method=True, function=False)
def view(input: Tensor, *args: Any, size: Any = (), dtype: Dtype | None = None) -> Tensor:
    """View the memory with another shape (one -1 is inferred) or as another dtype.

    Raises RuntimeError where the strides allow no view; `reshape` copies then.
    """
    shape = args or (size if dtype is None else dtype,)
    if len(shape) == 1 and isinstance(shape[0], Dtype):
        return _view_dtype(input, shape[0])
    array = input._array
    wanted = resolve_shape(sizes(shape), array.size)
    if not (array.flags.c_contiguous or view_is_possible(array.shape, array.strides, wanted)):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return Reshape.of(input, {"shape": wanted})


@public(method=True, function=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """View with the shape of `other`."""
    return view(input, other.shape)


@public(method=True)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions `start_dim` to `end_dim`, both included, into one."""
    first, last = input._dim(start_dim), input._dim(end_dim)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = input._array.shape
    if first == last and shape:
        return input
    merged = math.prod(shape[first : last + 1])
    return Reshape.of(input, {"shape": (*shape[:first], merged, *shape[last + 1 :])})


@public(method=True)
def ravel(input: Tensor) -> Tensor:
    """Return all elements as one dimension: a view if possible."""
    return Reshape.apply(input, shape=(input._array.size,))


@public(method=True)
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split one dimension into several (one -1 is inferred); RuntimeError if they do not fit."""
    if not input.ndim:
        raise RuntimeError(
            "unflatten got an unexpected error:\nDimension specified as 0 but tensor has no "
            "dimensions"
        )
    d = input._dim(dim)
    shape = input._array.shape
    parts = tuple(int(n) for n in sizes)
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = math.prod(n for n in parts if n != -1)
    if parts.count(-1) == 1 and known and shape[d] % known == 0:
        parts = tuple(shape[d] // known if n == -1 else n for n in parts)
    if math.prod(parts) != shape[d] or -1 in parts:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} "
            f"({shape[d]}) in the input tensor"
        )
    return Reshape.apply(input, shape=(*shape[:d], *parts, *shape[d + 1 :]))


# ---- dimensions of length 1 ----------------------------------------------------------------------


class Squeeze(Reshape):
    """Drop dimensions of length 1."""

    torch_name = "SqueezeBackward0"


class SqueezeDim(Reshape):
    """Drop one dimension if its length is 1."""

    torch_name = "SqueezeBackward1"


class SqueezeDims(Reshape):
    """Drop those of some dimensions whose length is 1."""

    torch_name = "SqueezeBackward2"


@public(method=True)
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """View without the dimensions of length 1, or without those of `dim` that are."""
    shape = input._array.shape
    if dim is None:
        return Squeeze.of(input, {"shape": tuple([n for n in shape if n != 1])})
    op, dims = (SqueezeDim, (dim,)) if isinstance(dim, int) else (SqueezeDims, dim)
    dims = distinct_dims(input, dims)
    kept = tuple([n for d, n in enumerate(shape) if n != 1 or d not in dims])
    return op.of(input, {"shape": kept})


class Unsqueeze(Reshape):
    """Insert a dimension of length 1."""

    torch_name = "UnsqueezeBackward0"


@public(method=True)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """View with a dimension of length 1 inserted at `dim`; IndexError if out of range."""
    shape = input._array.shape
    n = len(shape) + 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    at = dim % n
    return Unsqueeze.of(input, {"shape": (*shape[:at], 1, *shape[at:])})


def _at_least(name: str, ndim: int) -> Callable[..., Any]:
    def raised(tensor: Tensor) -> Tensor:
        n = tensor.ndim
        if n >= ndim:
            return tensor
        if ndim == 3:
            return unsqueeze(raised_to_two(tensor), -1)
        return reshape(tensor, (1,) * (ndim - n) + tuple(tensor.shape))

    def raised_to_two(tensor: Tensor) -> Tensor:
        return tensor if tensor.ndim == 2 else reshape(tensor, (1, -1))

    def at_least(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return raised(tensors[0])
        given = tensors[0] if len(tensors) == 1 else tensors
        return tuple(raised(tensor) for tensor in given)

    at_least.__name__ = at_least.__qualname__ = name
    at_least.__doc__ = f"View each tensor with at least {ndim} dimension(s)."
    return public()(at_least)


atleast_1d, atleast_2d = _at_least("atleast_1d", 1), _at_least("atleast_2d", 2)
atleast_3d = _at_least("atleast_3d", 3)


# ---- order of dimensions ------------------------------------------------------------------------


class Permute(ViewOp):
    """Dimensions in another order, a view."""

    notes = ("dims",)
    look = staticmethod(lambda x, params: x.transpose(params["dims"]))

    def forward(ctx, x: Array, dims: tuple[int, ...]) -> Array:
        ctx.dims = dims
        return x.transpose(dims)

    def backward(ctx, g: Any) -> Any:
        dims = ctx.dims
        return ctx.F.permute(g, sorted(range(len(dims)), key=dims.__getitem__))


@public(method=True)
def permute(input: Tensor, *args: Any, dims: Any = ()) -> Tensor:
    """View with the dimensions in the given order."""
    order, ndim = sizes(args or (dims,)), input._array.ndim
    if len(order) == ndim and {*order} == {*range(ndim)}:  # the usual case, quickly
        return Permute.of(input, {"dims": order})
    if len(order) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not "
            f"equal to len(dims) = {len(order)}"
        )
    order = tuple([input._dim(d) for d in order])
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return Permute.of(input, {"dims": order})


class Transpose(ViewOp):
    """Two dimensions swapped, a view."""

    notes = ("dim0", "dim1")
    look = staticmethod(lambda x, params: x.swapaxes(params["dim0"], params["dim1"]))

    def forward(ctx, x: Array, dim0: int, dim1: int) -> Array:
        ctx.dim0, ctx.dim1 = dim0, dim1
        return x.swapaxes(dim0, dim1)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.transpose(g, ctx.dim0, ctx.dim1)


class T_(Transpose):
    """A matrix transposed, a view."""

    torch_name = "TBackward0"


def _transpose(name: str) -> Callable[..., Tensor]:
    def swap(input: Tensor, dim0: int, dim1: int) -> Tensor:
        a, b = input._dim(dim0), input._dim(dim1)
        if not input.ndim:
            return view(input, ())
        return Transpose.of(input, {"dim0": a, "dim1": b})

    swap.__name__ = swap.__qualname__ = name
    swap.__doc__ = "View with two dimensions swapped."
    return public(method=True)(swap)


transpose, swapaxes, swapdims = map(_transpose, ("transpose", "swapaxes", "swapdims"))


@public(method=True)
def t(input: Tensor) -> Tensor:
    """Transposed matrix, a view; of tensors of fewer dimensions one that shows them as they are."""
    ndim = input._array.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    if not ndim:
        return view(input, ())
    return T_.of(input, {"dim0": 0, "dim1": ndim - 1})


@public(attribute=True, function=False)
def T(input: Tensor) -> Tensor:
    """View with the dimensions in reverse order; deprecated by PyTorch except for matrices."""
    if input.ndim not in (0, 2):
        if input.ndim != 1:
            warnings.warn(
                "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
                "deprecated and it will throw an error in a future release. Consider `x.mT` to "
                "transpose batches of matrices or "
                "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a "
                "tensor.",
                UserWarning,
                stacklevel=2,
            )
    return Permute.of(input, {"dims": tuple(range(input.ndim))[::-1]})


@public(attribute=True, function=False)
def mT(input: Tensor) -> Tensor:
    """Batches of matrices (*, n, m) transposed to (*, m, n); RuntimeError for a vector."""
    return _batches_transposed(input, "mT")


def _batches_transposed(input: Tensor, name: str) -> Tensor:
    if input.ndim == 1:
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    if not input.ndim:
        warnings.warn(
            f"Tensor.{name} is deprecated on 0-D tensors. This function is the identity in these "
            "cases.",
            UserWarning,
            stacklevel=3,
        )
    return transpose(input, -2, -1) if input.ndim else input


@public(attribute=True, function=False)
def mH(input: Tensor) -> Tensor:
    """Batches of matrices (*, n, m), transposed and conjugated; RuntimeError for a vector."""
    return conj(_batches_transposed(input, "mH"))


@public(method=True)
def adjoint(input: Tensor) -> Tensor:
    """Batches of matrices (*, n, m), transposed and conjugated."""
    return conj(_batches_transposed(input, "adjoint()"))


@public(attribute=True, function=False)
def H(input: Tensor) -> Tensor:
    """A matrix transposed and conjugated; RuntimeError for anything but a matrix."""
    if input.ndim not in (0, 2):
        batches = " For batches of matrices, consider using tensor.mH" if input.ndim > 2 else ""
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {input.ndim}-D tensor."
            + batches
        )
    return conj(t(input))


def _several(dims: int | Sequence[int]) -> tuple[int, ...]:
    return (dims,) if isinstance(dims, int) else tuple(dims)


def _as_dims(input: Tensor, dims: int | Sequence[int], name: str) -> tuple[int, ...]:
    positions = tuple([input._dim(d) for d in _several(dims)])
    if len(set(positions)) != len(positions):
        raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(_several(dims))})")
    return positions


@public(method=True)
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """View with the dimensions `source` moved to the places `destination`, the others in order."""
    given, wanted = _as_dims(input, source, "source"), _as_dims(input, destination, "destination")
    if len(given) != len(wanted):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(_several(source))} dims) should contain the same number of dims as "
            f"destination ({list(_several(destination))} dims)"
        )
    others = iter([d for d in range(input.ndim) if d not in given])
    places = dict(zip(wanted, given, strict=True))
    order = tuple([places[d] if d in places else next(others) for d in range(input.ndim)])
    return Permute.of(input, {"dims": order})


@public(method=True)
def moveaxis(
    input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Another name of `movedim`."""
    return movedim(input, source, destination)


# ---- broadcasting --------------------------------------------------------------------------------


class Expand(ViewOp):
    """Broadcast to a shape, a view."""

    @staticmethod
    def look(x: Array, params: dict[str, Any]) -> Array:
        """The array, broadcast."""
        return BACKEND_BY_TYPE[type(x)].broadcast_writable(x, params["shape"])

    def forward(ctx, x: Array, shape: tuple[int, ...]) -> Array:
        return ctx.backend.broadcast_writable(x, shape)

    def backward(ctx, g: Any) -> Any:
        return g  # the engine sums over what was stretched


@lru_cache(1 << 12)
def _can_be_stretched(own: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a tensor of shape `own` can be seen as one of `wanted`, in which nothing is -1."""
    lead = len(wanted) - len(own)
    if lead < 0 or min(wanted, default=0) < 0:
        return False
    return all(m in (1, n) for m, n in zip(own, wanted[lead:], strict=True))


def _expanded_shape(input: Tensor, wanted: tuple[int, ...]) -> tuple[int, ...]:
    own = input._array.shape
    if _can_be_stretched(own, wanted):  # the usual case, quickly
        return wanted
    lead = len(wanted) - len(own)
    if lead < 0:
        raise RuntimeError(
            f"expand({input.type()}{{{list(own)}}}, size={list(wanted)}): the number of "
            f"sizes provided ({len(wanted)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({len(own)})"
        )
    shape = []
    for i, n in enumerate(wanted):
        if i < lead:
            if n < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
        elif n == -1:
            n = own[i - lead]  # noqa: PLW2901 - what -1 stands for
        elif own[i - lead] not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size "
                f"({own[i - lead]}) at non-singleton dimension {i}.  Target sizes: "
                f"{list(wanted)}.  Tensor sizes: {list(own)}"
            )
        shape.append(n)
    return tuple(shape)


@public(method=True, function=False)
def expand(input: Tensor, *args: Any, size: Any = (), implicit: bool = False) -> Tensor:
    """Repeat dimensions of length 1 without copying; -1 keeps a dimension's length."""
    return Expand.of(input, {"shape": _expanded_shape(input, sizes(args or (size,)))})


@public(method=True, function=False)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expand to the shape of `other`."""
    return expand(input, other.shape)


@public(method=True)
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Expand to `size`."""
    return expand(input, size)


@public()
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Expand the tensors to their common shape; RuntimeError if they have none."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes_checked(*[t.shape for t in tensors])
    return tuple(expand(t, shape) for t in tensors)
