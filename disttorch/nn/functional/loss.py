"""Losses, with the legacy arguments `size_average` and `reduce` of PyTorch's functionals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from disttorch.ops import loss as ops
from disttorch.ops import loss_class
from disttorch.tensor import Tensor

Flag = bool | None


def legacy_reduction(size_average: Flag, reduce: Flag, reduction: str) -> str:
    """Return the reduction that the deprecated flags mean, with PyTorch's warning."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        meant = "none"
    else:
        meant = "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.",
        UserWarning,
        stacklevel=3,
    )
    return meant


def _warn_of_shapes(input: Tensor, target: Tensor) -> None:
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )


def _weighted(
    op: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Apply a loss; with a weight, "mean" is the weighted sum over the sum of the weights."""
    if weight is None:
        return op(input, target, reduction)
    summed = "sum" if reduction == "mean" else reduction
    total = _of_weighted(op, input, target, weight, summed)
    return total / weight.sum() if reduction == "mean" else total


def _of_weighted(
    op: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    reduction: str,
    **settings: Any,
) -> Tensor:
    """Reduce the losses times `weight`; ValueError unless it has the shape of `input`."""
    ops.check_reduction(reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return ops.reduced(op(input, target, "none", **settings) * weight, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared differences, broadcast, weighted, reduced."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_of_shapes(input, target)
    return _weighted(ops.mse_loss, input, target, weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute differences, broadcast, weighted, reduced."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_of_shapes(input, target)
    return _weighted(ops.l1_loss, input, target, weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squared differences over 2 `beta` below `beta`, absolute ones less beta / 2 above."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_of_shapes(input, target)
    return ops.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half squared differences below `delta`, delta times absolute ones above; weighted.

    The mean of weighted losses is over their number, not over the sum of the weights.
    """
    _warn_of_shapes(input, target)
    if weight is None:
        return ops.huber_loss(input, target, reduction, delta=delta)
    # Unlike the other two, PyTorch divides this mean by the number of losses.
    return _of_weighted(ops.huber_loss, input, target, weight, reduction, delta=delta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of probabilities `input` against `target`, of one shape."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of sigmoid(input) against `target`, of one shape; positives weighted."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of `target` from exp(input).

    `reduction` "batchmean" is the definition: the sum over the batch size.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction == "batchmean":
        total = ops.kl_div(input, target, "sum", log_target)
        return total / input.shape[0] if input.ndim else total
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            UserWarning,
            stacklevel=2,
        )
    return ops.kl_div(input, target, reduction, log_target)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    ignore_index: int = -100,
    reduce: Flag = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits (N, C, *S) against class numbers (N, *S) or probabilities."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return loss_class.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Flag = None,
    ignore_index: int = -100,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of log-probabilities (N, C, *S) for class numbers (N, *S)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return loss_class.nll_loss(input, target, weight, ignore_index, reduction)
