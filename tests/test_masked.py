"""Masked reductions against NumPy on the elements that count."""

from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch
from disttorch import masked

X = np.array([[1.0, -2.0, 3.0], [4.0, 0.5, -6.0]])
MASK = np.array([[True, False, True], [False, False, False]])
KEPT = X[0][MASK[0]]
NAN, INF = np.nan, np.inf

# name, what a row with elements gives, what a row without any gives
REDUCTIONS = [
    ("sum", KEPT.sum(), 0),
    ("prod", KEPT.prod(), 1),
    ("amax", KEPT.max(), -INF),
    ("amin", KEPT.min(), INF),
    ("mean", KEPT.mean(), NAN),
    ("median", KEPT.min(), NAN),
    ("norm", np.sqrt((KEPT**2).sum()), 0),
    ("var", KEPT.var(ddof=1), NAN),
    ("std", KEPT.std(ddof=1), NAN),
    ("logsumexp", np.log(np.exp(KEPT).sum()), -INF),
    ("argmax", 2, 0),
    ("argmin", 0, 0),
]


@pytest.mark.parametrize(("name", "some", "none"), REDUCTIONS, ids=[r[0] for r in REDUCTIONS])
def test_a_reduction_sees_what_counts(name, some, none):
    result = getattr(masked, name)(torch.tensor(X), dim=1, mask=torch.tensor(MASK))
    np.testing.assert_allclose(result.numpy(), [some, none])


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_a_softmax_sees_what_counts(name):
    sign = -1 if name == "softmin" else 1
    wanted = np.exp(sign * KEPT) / np.exp(sign * KEPT).sum()
    result = getattr(masked, name)(torch.tensor(X[0]), 0, mask=torch.tensor(MASK[0])).numpy()
    left_out = -INF if name == "log_softmax" else 0
    np.testing.assert_allclose(result[[0, 2]], np.log(wanted) if "log" in name else wanted)
    assert result[1] == left_out


def test_running_sums_products_and_norms():
    x, mask = torch.tensor(X), torch.tensor(MASK)
    assert masked.cumsum(x, 1, mask=mask).tolist() == [[1, 1, 4], [0, 0, 0]]
    assert masked.cumprod(x, 1, mask=mask).tolist() == [[1, 1, 3], [1, 1, 1]]
    assert masked.normalize(x, 1, 1, mask=mask).tolist() == [[0.25, 0, 0.75], [0, 0, 0]]


def test_without_a_mask_everything_counts():
    x = torch.tensor(X)
    assert masked.sum(x).item() == X.sum()
    np.testing.assert_allclose(masked.var(x, 0, unbiased=False).numpy(), X.var(0))


def test_gradients_are_of_what_counts():
    x = torch.tensor(X, requires_grad=True)
    masked.mean(x, 1, mask=torch.tensor(MASK))[0].backward()
    assert x.grad.tolist() == [[0.5, 0, 0.5], [0, 0, 0]]


def test_bad_input():
    x = torch.tensor(X)
    with pytest.raises(IndexError, match="expected broadcastable mask"):
        masked.sum(x[0], mask=torch.tensor(MASK))
    with pytest.raises(ValueError, match=r"mean\(\): Could not infer output dtype"):
        masked.mean(x.long())
    with pytest.raises(ValueError, match="Only one of unbiased and correction"):
        masked.var(x, 0, True, correction=1)
    with pytest.raises(RuntimeError, match="appears multiple times"):
        masked.sum(x, (0, 0))
    with pytest.raises(ValueError, match="no fully masked out rows"):
        masked.median(x.long(), 1, mask=torch.tensor(MASK))
