"""Tensors brought to a size: sum_to_size, resize; the common size of several: broadcast_shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.cast import broadcasts_to
from disttorch.ops.shape import reshape
from disttorch.ops.shape_math import sizes
from disttorch.size import Size
from disttorch.tensor import Tensor

__all__ = ["broadcast_shapes", "resize", "resize_as", "sum_to_size"]


@public(method=True, function=False)
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Sum over what broadcasting `size` to this shape would stretch; RuntimeError if it cannot."""
    wanted, shape = sizes(size), input._array.shape
    if not broadcasts_to(wanted, shape):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    if not wanted:
        return input.sum()
    lead = len(shape) - len(wanted)
    stretched = [d for d, n in enumerate(shape) if d < lead or (wanted[d - lead] == 1 and n != 1)]
    if not stretched:
        return input
    return reshape(input.sum(stretched, keepdim=True), wanted)


@public(method=True, function=False)
def resize(input: Tensor, *size: Any) -> Tensor:
    """Same elements in another shape; RuntimeError for another number."""
    wanted = sizes(size)
    if math.prod(wanted) != input.numel():
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, wanted))} ({math.prod(wanted)} elements in "
            f"total), but the given tensor has a size of {'x'.join(map(str, input.shape))} "
            f"({input.numel()} elements). autograd's resize can only change the shape of a given "
            "tensor, while preserving the number of elements. "
        )
    return reshape(input, wanted)


@public(method=True, function=False)
def resize_as(input: Tensor, tensor: Tensor) -> Tensor:
    """Same elements in the shape of `tensor`."""
    return resize(input, tensor.shape)


@public()
def broadcast_shapes(*shapes: Any) -> Size:
    """Common shape of several (ints stand for one length); RuntimeError if there is none."""
    given: list[Sequence[int]] = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    ndim = max(map(len, given), default=0)
    common = [1] * ndim
    for k, shape in enumerate(given):
        for back in range(-1, -1 - len(shape), -1):
            n = shape[back]
            if n < 0:
                raise ValueError("Attempting to broadcast a dimension with negative length!")
            if n == 1 or n == common[back]:
                continue
            if common[back] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {n} at {back}! Mismatching "
                    f"argument at index {k} had {tuple(shape)}; but expected shape should be "
                    f"broadcastable to {common}"
                )
            common[back] = n
    return Size(common)
