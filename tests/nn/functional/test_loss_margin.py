"""Losses with margins and likelihoods: values by hand, and gradients."""

import math

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck
from disttorch.nn import functional as F

D = torch.float64


def tensor(values):
    return torch.tensor(values, dtype=D)


@pytest.mark.parametrize(
    ("loss", "want"),
    [
        (lambda: F.margin_ranking_loss(tensor([1, 2]), tensor([3, 0]), tensor([1, 1]), 1), 1.5),
        (lambda: F.hinge_embedding_loss(tensor([2, 0.25]), tensor([1, -1])), 2.75 / 2),
        (lambda: F.soft_margin_loss(tensor([0.0]), tensor([1])), math.log(2)),
        (lambda: F.multi_margin_loss(tensor([[1, 2, 0]]), torch.tensor([0])), 2 / 3),
        (lambda: F.multi_margin_loss(tensor([[1, 2, 0]]), torch.tensor([0]), p=2), 4 / 3),
        (
            lambda: F.multilabel_margin_loss(
                tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
            ),
            0.85,
        ),
        (lambda: F.multilabel_soft_margin_loss(tensor([[0, 0]]), tensor([[1, 0]])), math.log(2)),
        (
            lambda: F.cosine_embedding_loss(tensor([[1, 0]]), tensor([[0, 1]]), tensor([1])),
            1.0,
        ),
        (
            lambda: F.cosine_embedding_loss(tensor([1, 0]), tensor([1, 0]), tensor(-1), 0.25),
            0.75,
        ),
        (
            lambda: F.triplet_margin_loss(tensor([0, 0]), tensor([3, 4]), tensor([0, 1]), eps=0),
            5.0,
        ),
        (
            lambda: F.triplet_margin_loss(
                tensor([0, 0]), tensor([0, 2]), tensor([0, 3]), p=1, eps=0, swap=True
            ),
            2.0,
        ),
        (
            lambda: F.triplet_margin_with_distance_loss(
                tensor([0.0]), tensor([2]), tensor([1]), distance_function=lambda a, b: abs(a - b)
            ),
            2.0,
        ),
        (lambda: F.poisson_nll_loss(tensor([0.0]), tensor([3])), 1.0),
        (lambda: F.poisson_nll_loss(tensor([2.0]), tensor([0]), log_input=False), 2.0),
        (lambda: F.gaussian_nll_loss(tensor([1.0]), tensor([3]), tensor([4])), math.log(2) + 0.5),
        (lambda: F.gaussian_nll_loss(tensor([1.0]), tensor([1]), 0.0, eps=1.0), 0.0),
    ],
)
def test_value(loss, want):
    assert loss().item() == pytest.approx(want)


SIGNS = tensor([1, -1, 1])
LABELS = torch.tensor([0, 3, 1])
GRADIENTS = {
    "margin_ranking": (lambda x, y: F.margin_ranking_loss(x[:, 0], y[:, 0], SIGNS, 0.3)),
    "hinge_embedding": lambda x, y: F.hinge_embedding_loss(x[:, 0], SIGNS, 4.0),
    "soft_margin": lambda x, y: F.soft_margin_loss(x[:, 0], SIGNS),
    "multi_margin": lambda x, y: F.multi_margin_loss(x, LABELS, weight=tensor([1, 2, 0.5, 3])),
    "multilabel_margin": lambda x, y: F.multilabel_margin_loss(
        x, torch.tensor([[1, 2, -1, 0], [3, -1, 0, 0], [-1, 0, 0, 0]])
    ),
    "multilabel_soft_margin": F.multilabel_soft_margin_loss,
    "cosine_embedding": lambda x, y: F.cosine_embedding_loss(x, y, SIGNS, -0.9),
    "triplet_margin": lambda x, y: F.triplet_margin_loss(x, y, x * y, swap=True),
    "poisson": lambda x, y: F.poisson_nll_loss(x, y * y + 1.5, full=True),
    "gaussian": lambda x, y: F.gaussian_nll_loss(x, y * 0, y * y + 0.5, full=True),
    "linear_cross_entropy": lambda x, y: F.linear_cross_entropy(x, y, torch.tensor([0, 2, 1])),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name):
    x, y = (torch.randn(3, 4, dtype=D, requires_grad=True) for _ in range(2))
    assert gradcheck(lambda x, y: GRADIENTS[name](x, y) + 0 * (x.sum() + y.sum()), [x, y])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_reductions_agree(reduction):
    x, t = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    each = F.multi_margin_loss(x, t, reduction="none")
    want = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    assert torch.allclose(F.multi_margin_loss(x, t, reduction=reduction), want)


def test_legacy_arguments_warn():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        F.soft_margin_loss(torch.ones(2), torch.ones(2), size_average=False)


def test_scores_of_a_linear_layer_in_several_dimensions():
    x, w, b = torch.randn(2, 3), torch.randn(4, 5, 3), torch.randn(4, 5)
    target = torch.randint(0, 4, (2, 5))
    scores = torch.einsum("ni,cki->nck", x, w) + b
    want = F.cross_entropy(scores, target)
    assert torch.allclose(F.linear_cross_entropy(x, w, target, linear_bias=b), want)
