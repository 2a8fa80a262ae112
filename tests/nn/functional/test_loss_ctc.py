"""CTC loss against the sum over all alignments."""

import itertools
import math

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck
from disttorch.nn import functional as F


def collapsed(path, blank):
    """What a path of labels spells: repeats merged, then blanks dropped."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def by_enumeration(log_probs, label, blank):
    """-log of the probability of all paths that spell `label`; log_probs (T, C) as lists."""
    paths = itertools.product(range(len(log_probs[0])), repeat=len(log_probs))
    spelling = (p for p in paths if collapsed(p, blank) == tuple(label))
    total = sum(
        math.exp(sum(row[k] for row, k in zip(log_probs, p, strict=True))) for p in spelling
    )
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize(
    ("n_steps", "label", "blank"),
    [(4, [1, 2], 0), (4, [1, 1], 0), (3, [], 0), (5, [0, 1], 2), (2, [1, 1], 0), (1, [2], 0)],
)
def test_sums_over_all_alignments(n_steps, label, blank):
    x = torch.randn(n_steps, 1, 3, dtype=torch.float64).log_softmax(2)
    target = torch.tensor([label], dtype=torch.int64).reshape(1, len(label))
    loss = F.ctc_loss(x, target, [n_steps], [len(label)], blank, reduction="none")
    assert loss.item() == pytest.approx(by_enumeration(x[:, 0].tolist(), label, blank))


def test_sequences_of_a_batch_are_independent():
    x = torch.randn(5, 2, 4, dtype=torch.float64).log_softmax(2)
    targets, steps, lengths = torch.tensor([[1, 2, 3], [2, 1, 1]]), [5, 3], [3, 1]
    both = F.ctc_loss(x, targets, steps, lengths, reduction="none")
    for i in range(2):
        alone = F.ctc_loss(x[: steps[i], i], targets[i], steps[i], lengths[i], reduction="none")
        assert alone.item() == pytest.approx(both[i].item())
    behind = torch.tensor([1, 2, 3, 2])
    assert torch.allclose(F.ctc_loss(x, behind, steps, lengths, reduction="none"), both)
    mean = F.ctc_loss(x, targets, steps, lengths)
    assert mean.item() == pytest.approx((both[0].item() / 3 + both[1].item()) / 2)


def test_gradient():
    x = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 2, 2], [3, 1, 1]])

    def loss(x):
        return F.ctc_loss(x.log_softmax(2), targets, [5, 4], [3, 2], reduction="none")

    assert gradcheck(loss, [x])


def test_impossible_targets_may_count_as_zero():
    x = torch.zeros(1, 1, 3).log_softmax(2).requires_grad_()
    target = torch.tensor([[1, 2]])
    assert F.ctc_loss(x, target, [1], [2], reduction="sum").item() == math.inf
    loss = F.ctc_loss(x, target, [1], [2], reduction="sum", zero_infinity=True)
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()


def test_has_no_second_derivative():
    x = torch.randn(3, 1, 3, requires_grad=True)
    loss = F.ctc_loss(x.log_softmax(2), torch.tensor([[1]]), [3], [1])
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="_ctc_loss_backward is not implemented"):
        torch.autograd.grad(first.sum(), x)
