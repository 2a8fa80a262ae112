"""Normalisations that return the statistics too: PyTorch's `native_` operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.norm import batch_norm
from disttorch.ops.norm_rows import group_norm, layer_norm
from disttorch.ops.out import accepts_out
from disttorch.tensor import Tensor

__all__ = ["native_batch_norm", "native_group_norm", "native_layer_norm"]

Statistics = tuple[Tensor, Tensor, Tensor]


def _statistics(x: Any, axes: tuple[int, ...], eps: float, shape: Any) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation of an array over `axes`, of this shape, without history."""
    centre = x.mean(axes, keepdims=True)
    spread = ((x - centre) ** 2).mean(axes, keepdims=True)
    scale = 1 / (spread + eps) ** 0.5
    pair = (centre, scale.astype(x.dtype, copy=False))
    return tuple(Tensor._wrap(t.reshape(shape)) for t in pair)  # type: ignore[return-value]


@public()
def native_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Statistics:
    """`layer_norm`, with mean and 1 / deviation of each row: (*, 1...).

    RuntimeError for shapes that do not fit.
    """
    y = layer_norm(input, normalized_shape, weight, bias, eps)
    n = len(tuple(normalized_shape))
    kept = (*input.shape[: input.ndim - n], *(1,) * n)
    axes = tuple(range(input.ndim - n, input.ndim))
    return y, *_statistics(input._array, axes, eps, kept)


@public()
def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> Statistics:
    """`group_norm` of (N, C, *) with HxW pixels, with mean and 1 / deviation (N, group).

    Both have gradients, unlike the others'. RuntimeError for shapes that do not fit.
    """
    y = group_norm(input, group, weight, bias, eps)
    rows: Any = input.reshape(N, group, C // group * HxW)
    mean = rows.mean(2)
    spread = ((rows - mean.unsqueeze(2)) ** 2).mean(2)
    return y, mean, (spread + eps).rsqrt()


@public()
@accepts_out
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Statistics:
    """`batch_norm`, with mean and 1 / deviation (C,) of the batch; empty ones in evaluation.

    RuntimeError for shapes that do not fit.
    """
    running = (running_mean, running_var)
    y = batch_norm(input, weight, bias, *running, training, momentum, eps)
    if not training:
        empty = input.detach().new_empty((0,))
        return y, empty, empty.clone()
    axes = (0, *range(2, input.ndim))
    return y, *_statistics(input._array, axes, eps, (input.shape[1],))
