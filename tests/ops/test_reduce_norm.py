"""Norms that renorm limits, in place and out of place; its refusals."""

import pytest

import disttorch as torch


def test_renorm_in_place():
    x = torch.tensor([[0.0, 1.0], [3.0, 5.0]])
    assert x.renorm_(1, 0, 2.0) is x
    assert torch.allclose(x, torch.tensor([[0.0, 1.0], [0.75, 1.25]]))


def test_a_formula_of_several_steps_has_its_gradient_in_place():
    x = torch.tensor([[3.0, 4.0], [0.1, 0.2]], dtype=torch.float64, requires_grad=True)
    gradients = []
    for y in (x.clone().renorm_(2, 0, 1.0), x.renorm(2, 0, 1.0)):
        gradients.append(torch.autograd.grad((y * y * y).sum(), x)[0])
    assert torch.equal(*gradients)


ERRORS = (
    (
        "torch.renorm(torch.ones(3),2,0,1.)",
        RuntimeError,
        "renorm: input needs at least 2 dimensions, got 1 dimensions",
    ),
    (
        "torch.renorm(torch.ones(3,3),-2,0,1.)",
        RuntimeError,
        "renorm: non-positive-norm not supported",
    ),
    (
        "torch.renorm(torch.ones(3,3),2,0,-1.)",
        RuntimeError,
        "renorm: expected maxnorm to be >= 0 but got -1",
    ),
)


@pytest.mark.parametrize(("expression", "error", "text"), ERRORS)
def test_errors(check_error, expression, error, text):
    check_error(expression, error, text)
