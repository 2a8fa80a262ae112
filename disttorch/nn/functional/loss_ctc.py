"""CTC loss with the forms of targets and lengths that PyTorch takes."""

from __future__ import annotations

from typing import Any

from disttorch.ops.loss import check_reduction
from disttorch.ops.loss_ctc import CtcLoss
from disttorch.tensor import Tensor


def _lengths(given: Any, name: str, n: int) -> tuple[int, ...]:
    """Lengths as numbers; RuntimeError for another count than the batch's or a negative one."""
    if isinstance(given, Tensor):
        given = given.reshape(-1).tolist()
    values = [given] if isinstance(given, int) else given
    lengths = tuple(int(v) for v in values)
    if len(lengths) != n:
        raise RuntimeError(f"{name} must be of size batch_size")
    if any(v < 0 for v in lengths):
        negative = next(v for v in lengths if v < 0)
        raise RuntimeError(f"Expected {name} to have value at least 0, but got value {negative}")
    return lengths


def _labels(targets: Tensor, lengths: tuple[int, ...], n: int, blank: int) -> Tensor:
    """Targets (N, S), or all behind one another, as (N, longest); the rest filled with blanks."""
    longest = max(lengths, default=0)
    if targets.ndim == 1:
        if targets.numel() != sum(lengths):
            raise RuntimeError(
                f"Expected tensor to have size {sum(lengths)} at dimension 0, but got size "
                f"{targets.shape[0]} for argument #2 'targets' (while checking arguments for "
                "ctc_loss_allocate_outputs)"
            )
        rows = iter(targets.split(list(lengths)))
    else:
        if targets.shape[1] < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size "
                f"{targets.shape[1]} for argument #2 'targets' (while checking arguments for "
                "ctc_loss_allocate_outputs)"
            )
        rows = (row[:k] for row, k in zip(targets, lengths, strict=True))
    xp = targets.backend.xp
    labels = xp.full((n, longest), blank, "int64")
    for i, row in enumerate(rows):
        labels[i, : lengths[i]] = row._array
    return Tensor._wrap(labels)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log probability of targets (N, S) under log_probs (T, N, C) over all alignments.

    Without a batch (T, C) and (S,); targets may also be all sequences behind one another. A mean
    divides each loss by its target's length first. RuntimeError for lengths that do not fit.
    """
    check_reduction(reduction)
    if log_probs.ndim == 2:
        # One sequence needs one length, which may be 0-d.
        x, single = log_probs.unsqueeze(1), True
        if targets.ndim == 1:
            targets = targets.unsqueeze(0)
    else:
        x, single = log_probs, False
    n_steps, n, n_classes = x.shape
    if not 0 <= blank < n_classes:
        raise RuntimeError("blank must be in label range")
    steps = _lengths(input_lengths, "input_lengths", n)
    counts = _lengths(target_lengths, "target_lengths", n)
    if max(steps, default=0) > n_steps:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {n_steps}, but got value {max(steps)} "
            "(while checking arguments for ctc_loss_allocate_outputs)"
        )
    labels = _labels(targets, counts, n, blank)
    loss: Any = CtcLoss.apply(
        x, labels, n_steps=steps, n_labels=counts, blank=blank, zero_infinity=zero_infinity
    )
    if reduction == "none":
        return loss.squeeze(0) if single else loss
    if reduction == "sum":
        return loss.sum()
    divisor = loss.new_tensor([max(1, k) for k in counts])
    return (loss / divisor).mean()
