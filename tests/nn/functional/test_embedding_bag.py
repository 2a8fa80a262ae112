"""Bags of embeddings against loops over the bags."""

import pytest

import disttorch as torch
from disttorch.autograd.gradcheck import gradcheck
from disttorch.nn import functional as F

WEIGHT = torch.randn(6, 3, dtype=torch.float64)
ROWS = torch.tensor([1, 5, 1, 0, 2, 2, 4])
OFFSETS = [0, 3, 3, 5]


def by_loop(mode, padding_idx):
    found = []
    for start, stop in zip(OFFSETS, [*OFFSETS[1:], 7], strict=True):
        rows = [WEIGHT[i] for i in ROWS.tolist()[start:stop] if i != padding_idx]
        if not rows:
            found.append(torch.zeros(3, dtype=torch.float64))
        elif mode == "max":
            found.append(torch.stack(rows).amax(0))
        else:
            total = torch.stack(rows).sum(0)
            found.append(total / len(rows) if mode == "mean" else total)
    return torch.stack(found)


@pytest.mark.parametrize("padding_idx", [None, 1, -2])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_equals_a_loop(mode, padding_idx):
    y = F.embedding_bag(ROWS, WEIGHT, torch.tensor(OFFSETS), mode=mode, padding_idx=padding_idx)
    assert torch.allclose(y, by_loop(mode, None if padding_idx is None else padding_idx % 6))
    last = torch.tensor([*OFFSETS, 7])
    ended = F.embedding_bag(
        ROWS, WEIGHT, last, mode=mode, padding_idx=padding_idx, include_last_offset=True
    )
    assert torch.equal(ended, y)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_gradient(mode):
    weight = WEIGHT.clone().requires_grad_()
    bags = ROWS[:6].reshape(2, 3)
    assert gradcheck(lambda w: F.embedding_bag(bags, w, mode=mode), [weight])


def test_weighted_samples():
    samples = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    bags = ROWS[:6].reshape(2, 3)
    y = F.embedding_bag(bags, WEIGHT, mode="sum", per_sample_weights=samples)
    assert torch.allclose(y, (WEIGHT[bags] * samples.unsqueeze(-1)).sum(1))
    assert gradcheck(
        lambda s: F.embedding_bag(bags, WEIGHT, mode="sum", per_sample_weights=s), [samples]
    )


def test_frequent_rows_get_smaller_gradients():
    weight = WEIGHT.clone().requires_grad_()
    bags = torch.tensor([[1, 1, 2]])
    F.embedding_bag(bags, weight, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert weight.grad[1].tolist() == weight.grad[2].tolist() == [1, 1, 1]


def test_rows_are_cut_to_a_norm():
    weight = torch.full((2, 4), 2.0)
    F.embedding_bag(torch.tensor([[1]]), weight, max_norm=1.0)
    assert weight[1].norm().item() == pytest.approx(1, abs=1e-5)
    assert weight[0].tolist() == [2, 2, 2, 2]
