"""Rows of `ops/attention.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, floats, sample


def _attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> np.ndarray:
    """Scores, mask, softmax, product; rows that see nothing are zeros."""
    if enable_gqa:
        k, v = (np.repeat(a, q.shape[-3] // a.shape[-3], -3) for a in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    hidden = (scores == -np.inf).all(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
    weights = np.where(hidden, 0, weights)
    total = weights.sum(-1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total) @ v)


_VISIBLE = array([[True, False, True], [False, False, False]], "bool")

SPECS = (
    OpSpec(
        "scaled_dot_product_attention",
        ref=_attention,
        samples=(
            sample(floats(2, 2), floats(3, 2), floats(3, 1)),
            sample(floats(2, 1, 3, 2), floats(2, 1, 3, 2), floats(2, 1, 3, 1), is_causal=True),
            sample(floats(1, 2, 2), floats(1, 3, 2), floats(1, 3, 2), floats(2, 3), scale=0.7),
            sample(floats(2, 2, 2), floats(1, 3, 2), floats(2, 3, 1), _VISIBLE),
            sample(floats(2, 2, 2), floats(1, 2, 2), floats(1, 2, 2), enable_gqa=True),
            sample(floats(2, 0, 2), floats(2, 3, 2), floats(2, 3, 1)),
        ),
        skip={"0-d": "needs sequences of vectors"},
    ),
)
