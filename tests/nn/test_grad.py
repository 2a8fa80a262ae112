"""Gradients of convolutions as functions."""

import pytest

import disttorch as torch
from disttorch.nn import grad

SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 4)}


@pytest.mark.parametrize("n", SIZES)
def test_are_those_of_autograd(n):
    x = torch.randn(2, 4, *SIZES[n], dtype=torch.float64, requires_grad=True)
    w = torch.randn(6, 2, *(2,) * n, dtype=torch.float64, requires_grad=True)
    how = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    y = getattr(torch.nn.functional, f"conv{n}d")(x, w, None, **how)
    g = torch.randn(*y.shape, dtype=torch.float64)
    y.backward(g)
    assert torch.allclose(getattr(grad, f"conv{n}d_input")(x.shape, w, g, **how), x.grad)
    assert torch.allclose(getattr(grad, f"conv{n}d_weight")(x, w.shape, g, **how), w.grad)
