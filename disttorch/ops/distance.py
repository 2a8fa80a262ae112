"""Lengths of vectors along a dimension, and what is made from them."""

from __future__ import annotations

import math
from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.ops.pointwise_bounds import clamp
from disttorch.ops.shape import broadcast_tensors
from disttorch.tensor import Tensor

__all__ = ["cosine_similarity", "pairwise_distance"]

Array = Any


class VectorLength(Op):
    """The p-norm of x along `dim`, kept with length 1; its slope at 0 is taken as 0."""

    torch_name = "LinalgVectorNormBackward0"

    def forward(ctx, x: Array, p: float, dim: int) -> Array:
        ctx.save(0)
        ctx.save_output()
        ctx.p, ctx.dim = p, dim
        if p == 2:
            return ctx.xp.sqrt((x * x).sum(dim, keepdims=True))
        size = ctx.xp.abs(x)
        if p == math.inf:
            return size.max(dim, keepdims=True)
        return (size**p).sum(dim, keepdims=True) ** (1 / p)

    def backward(ctx, g: Any) -> Any:
        x, y = ctx.saved
        F, p = ctx.F, ctx.p
        if p == math.inf:
            largest = F.type_as(F.abs(x) == y, x)
            return F.sign(x) * largest * (g / F.sum(largest, ctx.dim, True))
        divisor = F.where(y == 0, F.ones_like(y), y)
        if p == 2:
            return x * (g / divisor)
        steep = F.sign(x) if p == 1 else F.sign(x) * F.abs(x) ** (p - 1)
        return steep * (g / divisor ** (p - 1))


def vector_length(input: Tensor, p: float, dim: int, keepdim: bool = False) -> Tensor:
    """Return the p-norm of `input` along `dim`; p > 0, also infinite."""
    if input.ndim == 0:
        return abs(input)
    d = input._dim(dim)
    y = VectorLength.apply(input, p=p, dim=d)
    if keepdim:
        return y
    return y.reshape(tuple(n for i, n in enumerate(y.shape) if i != d))


@public()
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between vectors along `dim`, broadcast; lengths count as >= `eps`."""
    x1, x2 = broadcast_tensors(x1, x2)
    lengths = [clamp(vector_length(x, 2, dim, keepdim=True), min=eps) for x in (x1, x2)]
    return ((x1 / lengths[0]) * (x2 / lengths[1])).sum(dim)


@public()
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Return the p-norm of ``x1 - x2 + eps`` along the last dimension, broadcast."""
    return vector_length(x1 - x2 + eps, p, -1, keepdim)
