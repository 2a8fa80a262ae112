"""Rows of a table by number."""

from __future__ import annotations

from disttorch.ops import embedding as ops
from disttorch.tensor import Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return rows of `weight` (n, D) by numbers `input` (*S): (*S, D).

    Row `padding_idx` gets no gradient. With `max_norm` the rows used are scaled down to that
    `norm_type`-norm first, in place. AssertionError for a `padding_idx` out of range.
    """
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    n = weight.shape[0]
    if padding_idx is None:
        padding_idx = -1
    elif not -n <= padding_idx < n:
        raise AssertionError("Padding_idx must be within num_embeddings")
    elif padding_idx < 0:
        padding_idx += n
    if max_norm is not None:
        ops.renormalise_rows(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)
