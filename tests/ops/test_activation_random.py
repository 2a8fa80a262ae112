"""Leaky ReLU with random slopes: PyTorch's numbers."""

import pytest

import disttorch as torch

INPUT = [-1.0, 2.0, -3.0, -0.5]


def test_random_slopes_are_pytorchs():
    torch.manual_seed(5)
    x = torch.tensor(INPUT, requires_grad=True)
    y = torch.rrelu(x, training=True)
    expected = torch.tensor([-0.25875312, 2.0, -0.53734869, -0.10008621])
    assert torch.allclose(y, expected)
    y.sum().backward()
    assert torch.allclose(x.grad, expected / x.detach())


def test_in_place_and_the_functional_draw_the_same():
    results = []
    for rrelu in (torch.rrelu, torch.rrelu_, torch.nn.functional.rrelu):
        torch.manual_seed(5)
        results.append(rrelu(torch.tensor(INPUT), 0.1, 0.3, True).tolist())
    assert results[0] == results[1] == results[2]


def test_bounds_out_of_order():
    with pytest.raises(RuntimeError, match="Lower bound should be less than or equal to the upper"):
        torch.rrelu(torch.ones(2), 2, 1)
