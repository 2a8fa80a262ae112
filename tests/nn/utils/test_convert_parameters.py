"""Parameters as one vector, and back."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn
from disttorch.nn import utils


def test_there_and_back():
    layer = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.tolist() == [*layer.weight.flatten().tolist(), *layer.bias.tolist()]
    utils.vector_to_parameters(disttorch.arange(9.0), layer.parameters())
    assert layer.weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert layer.bias.tolist() == [6.0, 7.0, 8.0]


def test_gradients_flow_through_the_vector():
    layer = nn.Linear(2, 1)
    (utils.parameters_to_vector(layer.parameters()) * 3).sum().backward()
    assert layer.bias.grad.tolist() == [3.0]


def test_no_vector():
    with pytest.raises(TypeError, match=r"expected torch.Tensor, but got: list"):
        utils.vector_to_parameters([1.0], nn.Linear(1, 1).parameters())
