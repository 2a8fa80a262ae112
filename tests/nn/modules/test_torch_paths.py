"""Classes can be imported from where PyTorch has them."""

import importlib

import pytest

from disttorch import nn, optim

PATHS = [
    "activation.MultiheadAttention",
    "adaptive.AdaptiveLogSoftmaxWithLoss",
    "batchnorm.LazyBatchNorm2d",
    "batchnorm.SyncBatchNorm",
    "channelshuffle.ChannelShuffle",
    "container.ParameterDict",
    "conv.LazyConvTranspose3d",
    "instancenorm.LazyInstanceNorm1d",
    "linear.LazyLinear",
    "linear_cross_entropy_options.LinearCrossEntropyOptions",
    "loss.CTCLoss",
    "loss.TripletMarginWithDistanceLoss",
    "pixelshuffle.PixelUnshuffle",
    "pooling.FractionalMaxPool3d",
    "pooling.LPPool1d",
    "pooling.MaxUnpool2d",
]


@pytest.mark.parametrize("path", PATHS)
def test_same_class(path):
    module, name = path.split(".")
    found = getattr(importlib.import_module(f"disttorch.nn.modules.{module}"), name)
    assert found is getattr(nn, name)


def test_sizes_under_their_other_name():
    utils = importlib.import_module("disttorch.nn.modules.utils")
    assert utils is nn.modules.utils
    assert utils._pair(3) == utils._pair([3, 3]) == (3, 3)
    assert utils._triple(1) == (1, 1, 1)
    assert utils._ntuple(4)(2) == utils._quadruple(2)
    assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)


def test_prefix_of_a_wrapper_is_taken_off():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Sequential(nn.Linear(2, 2))

    state = Wrapper().state_dict()
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["0.weight", "0.bias"]
    plain = nn.Sequential(nn.Linear(2, 2)).state_dict()
    assert {k: v for k, v in state._metadata.items() if k} == {
        k: v for k, v in plain._metadata.items() if k
    }


def test_optimiser_that_shares_a_file():
    assert importlib.import_module("disttorch.optim.adamw").AdamW is optim.AdamW
