"""Running statistics, and inputs that do not fit."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn


def test_running_statistics():
    norm = nn.BatchNorm1d(1, momentum=0.5)
    norm(disttorch.tensor([[0.0], [4.0]]))
    assert norm.running_mean.tolist() == [1.0]
    assert norm.running_var.tolist() == [4.5]
    assert norm.num_batches_tracked.item() == 1
    norm.eval()(disttorch.ones(2, 1))
    assert norm.num_batches_tracked.item() == 1
    norm.reset_running_stats()
    assert norm.running_mean.tolist() == [0.0]
    assert norm.running_var.tolist() == [1.0]
    assert norm.num_batches_tracked.item() == 0


def test_momentum_none_averages_all_batches():
    norm = nn.BatchNorm1d(1, momentum=None)
    for value in (0.0, 3.0, 6.0):
        norm(disttorch.tensor([[value - 1], [value + 1]]))
    assert norm.running_mean.item() == pytest.approx(3.0)


WRONG_DIMS = [
    (nn.BatchNorm1d(2), (2,), "expected 2D or 3D input (got 1D input)"),
    (nn.BatchNorm2d(2), (2, 2), "expected 4D input (got 2D input)"),
    (nn.BatchNorm3d(2), (2, 2, 2, 2), "expected 5D input (got 4D input)"),
    (nn.InstanceNorm1d(2), (2,), "expected 2D or 3D input (got 1D input)"),
    (nn.CircularPad2d(1), (2, 2), "expected 3D or 4D input (got 2D input)"),
    (nn.Softmax2d(), (2, 2), "Softmax2d: expected input to be 3D or 4D, got 2D instead"),
    (
        nn.InstanceNorm1d(2, affine=True),
        (1, 3, 4),
        "expected input's size at dim=1 to match num_features (2), but got: 3.",
    ),
]


@pytest.mark.parametrize(("module", "shape", "text"), WRONG_DIMS)
def test_wrong_inputs(module, shape, text):
    with pytest.raises(ValueError) as raised:
        module(disttorch.ones(shape))
    assert str(raised.value) == text


def test_instance_norm_warns_of_other_channels():
    with pytest.warns(UserWarning, match="input's size at dim=1 does not match num_features"):
        nn.InstanceNorm1d(2)(disttorch.ones(1, 3, 4))


def test_instance_norm_refuses_stale_statistics():
    state = {"running_mean": disttorch.ones(2)}
    with pytest.raises(RuntimeError, match="Unexpected running stats buffer"):
        nn.InstanceNorm1d(2).load_state_dict(state)
