from __future__ import annotations

import pytest

import disttorch as torch


def test_in_place_and_without_self():
    x = torch.ones(3)
    index, source = torch.tensor([0, 0]), torch.tensor([2.0, 3.0])
    assert x.index_reduce_(0, index, source, "prod") is x
    assert x.tolist() == [6, 1, 1]
    assert x.index_reduce(0, index, source, "mean", include_self=False).tolist() == [2.5, 1, 1]


def test_zeros_have_the_gradient_of_the_other_factors():
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    source = torch.tensor([0.0, 5.0], requires_grad=True)
    x.index_reduce(0, torch.tensor([0, 0]), source, "prod").sum().backward()
    assert x.grad.tolist() == [0, 1]
    assert source.grad.tolist() == [10, 0]


def test_errors():
    x, index, source = torch.ones(3), torch.tensor([0, 5]), torch.ones(2)
    with pytest.raises(RuntimeError, match="Expected reduce to be one of prod, mean, amax or amin"):
        x.index_reduce(0, index, source, "sum")
    with pytest.raises(IndexError, match="index out of range in self"):
        x.index_reduce(0, index, source, "amax")
