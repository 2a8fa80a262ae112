"""What a Tensor subclass changes for those who do not use it: nothing."""

from __future__ import annotations

import pickle

import pytest

import disttorch as torch
from disttorch import nn
from disttorch.nn import functional as F


@pytest.fixture(scope="module")
def layers():
    """Layers that hold functions from before and from after the first subclass."""
    before = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu")

    class Mine(torch.Tensor):
        pass

    return before, nn.TransformerEncoderLayer(4, 2, 8, activation="gelu")


@pytest.mark.parametrize("i", [0, 1], ids=["before", "after"])
def test_layers_with_functions_are_pickled(layers, i):
    assert pickle.loads(pickle.dumps(layers[i])).activation_relu_or_gelu == 2


def test_functions_are_pickled_as_the_place_where_they_are_found(layers):
    for function in (torch.exp, torch.relu, F.relu, F.gelu, F.linear):
        assert pickle.loads(pickle.dumps(function)) is function


def test_functions_taken_beforehand_are_known(layers):
    assert nn.TransformerEncoderLayer(4, 2, 8).activation_relu_or_gelu == 1
