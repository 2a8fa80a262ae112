"""Losses that ask for a margin: between scores, classes, or distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.dtype import TYPE_NAMES
from disttorch.nn.functional.loss import Flag, legacy_reduction
from disttorch.ops.activation_smooth import logsigmoid
from disttorch.ops.distance import pairwise_distance
from disttorch.ops.loss import check_reduction, reduced
from disttorch.ops.pointwise_bounds import clamp, minimum, where
from disttorch.tensor import Tensor


def _chosen(size_average: Flag, reduce: Flag, reduction: str) -> str:
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    return reduction


def _sizes(**tensors: Tensor) -> str:
    return ", ".join(f"{name}: {t.shape}" for name, t in tensors.items())


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target (input1 - input2) + margin), target 1 or -1; RuntimeError for other ranks."""
    reduction = _chosen(size_average, reduce, reduction)
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        sizes = _sizes(input1=input1, input2=input2, target=target)
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"{sizes} "
        )
    return reduced(clamp(-target * (input1 - input2) + margin, min=0), reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """`input` where target is 1, max(0, margin - input) where it is -1."""
    reduction = _chosen(size_average, reduce, reduction)
    zero = input.new_zeros(())
    apart = where(target != 1, clamp(margin - input, min=0), zero)
    return reduced(apart + where(target != -1, input, zero), reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target input)), target 1 or -1."""
    reduction = _chosen(size_average, reduce, reduction)
    return reduced((input * -target).exp().log1p(), reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; inputs (N, D) or (D,)."""
    reduction = _chosen(size_average, reduce, reduction)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    tiny = 1e-12
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = (input1 * input2).sum(-1) / squares.sqrt()
    zero = cosine.new_zeros(())
    alike = where(target == 1, 1 - cosine, zero)
    return reduced(alike + where(target == -1, clamp(cosine - margin, min=0), zero), reduction)


def _check_classes(name: str, input: Any, target: Any, same_shape: bool) -> None:
    """RuntimeError for an input that is not (C,) or (N, C), or a target that does not fit."""
    if input.ndim > 2 or 0 in (input.shape[-1:] if input.ndim == 2 else input.shape):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    wanted = input.shape if same_shape else input.shape[:-1]
    if tuple(target.shape) != tuple(wanted) and not (not wanted and target.numel() == 1):
        raise RuntimeError(
            f"{name}: target tensor should be 1-D with size equal to the number of input samples "
            f"(batch size). Expected target size {list(wanted)}, but got {list(target.shape)}. "
            f"Input has shape {list(input.shape)}."
            if not same_shape
            else f"inconsistent target size: {list(target.shape)} for input of size: "
            f"{list(input.shape)}"
        )


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the other classes of max(0, margin - x[target] + x[j]) ** p, weighted.

    `input` is (N, C) or (C,), `target` class numbers. ValueError unless p is 1 or 2.
    """
    reduction = _chosen(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    _check_classes("multi_margin_loss", input, target, same_shape=False)
    n_classes = input.shape[-1] if input.ndim else 1
    if weight is not None and weight.numel() != n_classes:
        raise RuntimeError(
            f"inconsistent weight size, expected {n_classes} but got {list(weight.shape)}"
        )
    if target.dtype.name != "int64":
        raise RuntimeError(f"expected scalar type Long but found {TYPE_NAMES[target.dtype]}")
    rows = input if input.ndim == 2 else input.reshape(1, n_classes)
    labels = target.reshape(-1)
    outside = input.backend.first_outside(labels._array, 0, rows.shape[1])
    if outside is not None:
        raise IndexError(f"target out of range: {outside}")
    index = labels.unsqueeze(1)
    gaps = clamp(margin - rows.gather(1, index) + rows, min=0)
    gaps = gaps * gaps if p == 2 else gaps
    if weight is not None:
        gaps = gaps * weight[labels].unsqueeze(1)
    others = rows.detach().new_ones(rows.shape).scatter_(1, index, 0)
    losses = (gaps * others).sum(1) / rows.shape[1]
    return reduced(losses.reshape(input.shape[:-1]), reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over pairs of max(0, 1 - x[label] + x[j]), j no label; (N, C) or (C,).

    `target` holds each row's labels, up to the first -1.
    """
    reduction = _chosen(size_average, reduce, reduction)
    _check_classes("multilabel_margin_loss", input, target, same_shape=True)
    n_classes = input.shape[-1] if input.ndim else 1
    rows, labels = input.reshape(-1, n_classes), target.reshape(-1, n_classes)
    listed = (labels < 0).cumsum(1) == 0
    index = where(listed, labels, labels.new_zeros(()))
    if input.backend.first_outside(index._array, 0, n_classes) is not None:
        raise RuntimeError("argument #2 'target' is out of range")
    is_label = rows.detach().new_zeros(rows.shape).scatter_add_(1, index, listed.to(rows.dtype)) > 0
    gaps = 1 - rows.gather(1, index).unsqueeze(2) + rows.unsqueeze(1)
    counted = listed.unsqueeze(2) & ~is_label.unsqueeze(1)
    losses = where(counted, clamp(gaps, min=0), rows.new_zeros(())).sum((1, 2)) / n_classes
    return reduced(losses.reshape(input.shape[:-1]), reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the classes, the last dimension, of the cross-entropy of sigmoid(input)."""
    reduction = _chosen(size_average, reduce, reduction)
    losses: Any = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(-1) / input.shape[-1], reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|), p-norms; (N, D) or (D,).

    With `swap` the negative counts from the nearer of the other two. ValueError unless margin > 0.
    """
    reduction = _chosen(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a: Any, b: Any) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(distance, anchor, positive, negative, margin, swap, reduction)


def _triplet(
    distance: Callable[[Any, Any], Any],
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(margin + near - far, min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance, by default the Euclidean one."""
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    given = distance_function or pairwise_distance
    return _triplet(given, anchor, positive, negative, margin, swap, reduction)
