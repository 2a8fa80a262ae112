"""Lengths of vectors along a dimension, and distances between vectors."""

from __future__ import annotations

from typing import Any

from disttorch.autograd.op import Op, public
from disttorch.dtype import TYPE_NAMES
from disttorch.ops.create_range import triu_indices
from disttorch.ops.pointwise_bounds import clamp
from disttorch.ops.reduce_norm import Norm
from disttorch.ops.shape import broadcast_tensors
from disttorch.ops.shape_math import broadcast_shapes_checked
from disttorch.tensor import Tensor

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]

Array = Any


def vector_length(input: Tensor, p: float, dim: int, keepdim: bool = False) -> Tensor:
    """Return the p-norm of `input` along `dim`."""
    if input.ndim == 0:
        return abs(input)
    return Norm.apply(input, p=float(p), dim=(input._dim(dim),), keepdim=keepdim)


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


# ---- all pairs -----------------------------------------------------------------------------------

_MM_ROWS = 25  # from here on Euclidean distances come from one matrix product, as in PyTorch
_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


class EuclideanDistances(Op):
    """Distances (..., n, m) of the rows of x (..., n, k) from those of y (..., m, k)."""

    torch_name = "CdistBackward0"

    def forward(ctx, x: Array, y: Array, by_product: bool) -> Array:
        ctx.save(0, 1)
        ctx.save_output()
        if not by_product:
            apart = x[..., :, None, :] - y[..., None, :, :]
            return ctx.xp.sqrt((apart * apart).sum(-1))
        squares = (x * x).sum(-1)[..., :, None] + (y * y).sum(-1)[..., None, :]
        squares -= 2 * ctx.backend.matmul(x, ctx.xp.swapaxes(y, -2, -1))
        return ctx.xp.sqrt(ctx.xp.maximum(squares, 0))

    def backward(ctx, g: Any) -> Any:
        x, y, d = ctx.saved
        F = ctx.F
        same = d == 0
        pull = F.where(same, F.zeros_like(d), g / F.where(same, F.ones_like(d), d))
        back = F.transpose(pull, -2, -1)
        gx = F.sum(pull, -1, True) * x - F.matmul(pull, y)
        return gx, F.sum(back, -1, True) * y - F.matmul(back, x)


def _check_rows(x1: Tensor, x2: Tensor, p: float) -> None:
    for which, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {which} got: {x.ndim}D")
        if x._array.dtype.kind not in "fV":
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {which} got: {TYPE_NAMES[x.dtype]}"
            )
    if x1._array.shape[-1] != x2._array.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1._array.shape[-1]} "
            f"X2: {x2._array.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")


@public()
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = _MODES[0]) -> Tensor:
    """Distances (*, n, m), by the p-norm, of the rows of x1 (*, n, k) from those of x2 (*, m, k).

    `compute_mode` says when Euclidean distances may be computed by a matrix product, which is
    quicker and less exact. Raises RuntimeError for shapes, dtypes and p that do not fit.
    """
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    _check_rows(x1, x2, p)
    (n, k), m = x1._array.shape[-2:], x2._array.shape[-2]
    broadcast_shapes_checked(x1._array.shape[:-2], x2._array.shape[:-2])
    if p == 2 and k:
        wide = n > _MM_ROWS or m > _MM_ROWS
        by_product = compute_mode == _MODES[1] or (compute_mode == _MODES[0] and wide)
        return EuclideanDistances.apply(x1, x2, by_product=by_product)
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    return vector_length(apart, p, -1) if k else apart.sum(-1)


@public()
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances, by the p-norm, of all pairs of rows i < j of (n, k): (n (n - 1) / 2,)."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = triu_indices(input._array.shape[0], input._array.shape[0], 1)
    apart = input[first] - input[second]
    return vector_length(apart, p, -1) if apart._array.shape[-1] else apart.sum(-1)
