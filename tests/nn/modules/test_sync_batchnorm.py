"""SyncBatchNorm: ranks that share a batch give what one rank with the whole batch gives."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn
from disttorch.distributed.world import _World
from tests.comm.ranks import run_ranks

N = 2
BATCH = np.random.RandomState(0).standard_normal((4, 3, 2)).astype(np.float64)
WEIGHT = np.random.RandomState(1).standard_normal((4, 3, 2)).astype(np.float64)


def trained(layer, rows):
    """Output, gradients and statistics after a step on some rows of the batch."""
    layer = layer.double()
    x = torch.from_numpy(BATCH[rows].copy()).requires_grad_()
    y = layer(x)
    (y * torch.from_numpy(WEIGHT[rows].copy())).sum().backward()
    grads = {name: p.grad.numpy() for name, p in layer.named_parameters()}
    state = {name: b.numpy() for name, b in layer.named_buffers()}
    return {"y": y.detach().numpy(), "x.grad": x.grad.numpy(), **grads, **state}


def on_a_rank(group):
    _World.group = group
    rank = torch.distributed.get_rank()
    layer = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(3))
    found = trained(layer, slice(2 * rank, 2 * rank + 2))
    _World.group = None
    return found


@pytest.fixture(scope="module")
def both():
    return run_ranks(N, on_a_rank), trained(nn.BatchNorm1d(3), slice(0, 4))


@pytest.mark.parametrize("name", ["y", "x.grad"])
def test_rows_are_those_of_the_whole_batch(both, name):
    ranks, whole = both
    joined = np.concatenate([found[name] for found in ranks])
    np.testing.assert_allclose(joined, whole[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_gradients_of_parameters_add_up(both, name):
    ranks, whole = both
    np.testing.assert_allclose(sum(found[name] for found in ranks), whole[name], rtol=1e-10)


@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_statistics_are_those_of_the_whole_batch(both, name):
    ranks, whole = both
    for found in ranks:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-10)


def short_on_a_rank(group):
    _World.group = group
    rows = torch.arange(600.0).reshape(600, 1, 1).expand(600, 3, 2) % 7
    layer = nn.SyncBatchNorm(3)
    y = layer(rows.bfloat16())
    _World.group = None
    return y.dtype, y.detach().float().numpy(), layer.running_var.numpy()


def test_short_floats_are_counted_and_averaged_in_float32():
    rows = torch.arange(600.0).reshape(600, 1, 1).expand(600, 3, 2) % 7
    whole = nn.BatchNorm1d(3)
    y = whole(torch.cat([rows] * N)).detach().numpy()
    for dtype, found, variance in run_ranks(N, short_on_a_rank):
        assert dtype is torch.bfloat16
        np.testing.assert_allclose(found, y[:600], atol=1e-2)
        np.testing.assert_allclose(variance, whole.running_var.numpy(), rtol=1e-4)


def test_one_process_is_ordinary_batch_norm():
    found, whole = (
        trained(nn.SyncBatchNorm(3), slice(0, 4)),
        trained(nn.BatchNorm1d(3), slice(0, 4)),
    )
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value)


def test_conversion_keeps_tensors_and_other_layers():
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3, affine=False)))
    norm, linear = net[1][0], net[0]
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net.eval())
    assert converted is net
    assert converted[0] is linear
    assert type(converted[1][0]) is nn.SyncBatchNorm
    assert converted[1][0].running_mean is norm.running_mean
    assert converted[1][0].weight is None
    assert not converted[1][0].training


@pytest.mark.parametrize(("shape", "text"), [((3,), "at least 2D"), ((2, 0), "should be non-zero")])
def test_refuses(shape, text):
    with pytest.raises(ValueError, match=text):
        nn.SyncBatchNorm(3)(torch.ones(*shape))
