"""Negative log-likelihoods of distributions, and the loss of a linear layer's classes."""

from __future__ import annotations

import math
from typing import Any

from disttorch.nn.functional.loss import Flag, cross_entropy, legacy_reduction
from disttorch.ops.loss import check_reduction, reduced
from disttorch.ops.matmul import linear
from disttorch.ops.pointwise_bounds import clamp, where
from disttorch.tensor import Tensor


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Flag = None,
    eps: float = 1e-8,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts under a Poisson distribution, without log(target!).

    `input` is the logarithm of its mean if `log_input`; `full` adds Stirling's approximation.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        counts = where(target > 1, target, target.new_ones(()))
        stirling: Any = counts * counts.log() - counts + 0.5 * (2 * math.pi * counts).log()
        loss = loss + where(target > 1, stirling, stirling.new_zeros(()))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood under a normal distribution of mean `input` and variance `var`.

    `var` counts as at least `eps`, and has the shape of `input`, or one element for its last
    dimension, or is a number. ValueError for other shapes and negative variances.
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = input.new_full(input.shape, var)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or not _one_collapsed(input, var):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    # The limit does not stop the gradient, as it would if it were part of the formula.
    var = var + (clamp(var.detach(), min=eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _one_collapsed(input: Tensor, var: Tensor) -> bool:
    """Whether the shapes differ in one dimension, which has length 1 in `var`."""
    return sum(b for a, b in zip(input.shape, var.shape, strict=True) if a != b) == 1


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """Cross-entropy of the scores that a linear layer gives: input (N, I) or (I,).

    `linear_weight` is (C, *K, I): scores are (N, C, *K). `options`, about how to save memory, is
    accepted and changes nothing. RuntimeError for ranks that do not fit.
    """
    _check_linear(input, linear_weight, target, linear_bias, ignore_index)
    n_classes, *more = linear_weight.shape[:-1]
    rows = linear_weight.reshape(-1, linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores: Any = linear(input, rows, bias)
    if more:
        scores = scores.reshape(*input.shape[:-1], n_classes, *more)
    return cross_entropy(
        *(scores, target, weight),
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _check_linear(input: Any, weight: Any, target: Any, bias: Any, ignore_index: Any) -> None:
    """RuntimeError with PyTorch's texts for arguments that do not belong together."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if weight.ndim < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {weight.ndim}"
        )
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {weight.shape[-1]}, respectively"
        )
    if weight.ndim > 2 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(weight.shape)} requires "
            f"batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise RuntimeError(
            f"expected linear_bias shape {tuple(weight.shape[:-1])}, got {tuple(bias.shape)}"
        )
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
