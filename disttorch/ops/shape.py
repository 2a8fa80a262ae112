"""Views and other changes of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.tensor import Tensor

__all__ = ["expand", "permute", "reshape", "transpose", "unsqueeze"]

Array = Any


def sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Accept both spellings of a shape: ``f(2, 3)`` and ``f((2, 3))``."""
    if len(given) == 1 and not isinstance(given[0], (int, Tensor)):
        return tuple(int(n) for n in given[0])
    return tuple(int(n) for n in given)


def resolve_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Fill in one -1; RuntimeError, with PyTorch's text, if the shape does not hold `numel`."""
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    for n in shape:
        if n < -1:
            raise RuntimeError(f"invalid shape dimension {n}")
    if -1 in shape:
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if known and numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in shape)
    elif known == numel:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


class Reshape(Op):
    """Same elements in row-major order; a view where strides allow."""

    torch_name = "ViewBackward0"
    view = True

    def forward(ctx, x: Array, shape: tuple[int, ...]) -> Array:
        ctx.shape = x.shape
        return x.reshape(shape)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.reshape(g, ctx.shape)


@public(method=True)
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """Same elements in another shape (one -1 is inferred): a view if possible, else a copy."""
    return Reshape.apply(input, shape=resolve_shape(sizes(shape), input.numel()))


class Expand(Op):
    """Broadcast to a shape, a view."""

    view = True

    def forward(ctx, x: Array, shape: tuple[int, ...]) -> Array:
        return ctx.backend.broadcast_writable(x, shape)

    def backward(ctx, g: Any) -> Any:
        return g  # the engine sums over what was stretched


@public(method=True)
def expand(input: Tensor, *size: Any, implicit: bool = False) -> Tensor:
    """Repeat dimensions of length 1 without copying; -1 keeps a dimension's length."""
    wanted = sizes(size)
    lead = len(wanted) - input.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand({input.type()}{{{list(input.shape)}}}, size={list(wanted)}): the number of "
            f"sizes provided ({len(wanted)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({input.ndim})"
        )
    shape = tuple(input.shape[i - lead] if n == -1 and i >= lead else n
                  for i, n in enumerate(wanted))
    for i, n in enumerate(input.shape):
        if n not in (1, shape[lead + i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[lead + i]}) must match the existing size "
                f"({n}) at non-singleton dimension {lead + i}.  Target sizes: {list(wanted)}.  "
                f"Tensor sizes: {list(input.shape)}"
            )
    return Expand.apply(input, shape=shape)


class Permute(Op):
    """Dimensions in another order, a view."""

    view = True

    def forward(ctx, x: Array, dims: tuple[int, ...]) -> Array:
        ctx.inverse = tuple(sorted(range(len(dims)), key=dims.__getitem__))
        return x.transpose(dims)

    def backward(ctx, g: Any) -> Any:
        return ctx.F.permute(g, ctx.inverse)


@public(method=True)
def permute(input: Tensor, *dims: Any) -> Tensor:
    """Return a view with the dimensions in the given order."""
    order = tuple(input._dim(d) for d in sizes(dims))
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not "
            f"equal to len(dims) = {len(order)}"
        )
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return Permute.apply(input, dims=order)


@public(method=True)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Return a view with two dimensions swapped."""
    order = list(range(input.ndim))
    if not order:
        return input
    a, b = input._dim(dim0), input._dim(dim1)
    order[a], order[b] = order[b], order[a]
    return Permute.apply(input, dims=tuple(order))


@public(method=True)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """Return a view with a dimension of length 1 inserted at `dim`."""
    n = input.ndim + 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    shape: Sequence[int] = list(input.shape)
    position = dim % n
    return Reshape.apply(input, shape=(*shape[:position], 1, *shape[position:]))
