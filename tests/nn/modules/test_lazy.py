"""Modules whose parameters get their shapes from the first input."""

import copy
import io
import pickle

import pytest

import disttorch as torch
from disttorch import nn
from disttorch.nn.parameter import UninitializedParameter, is_lazy

# A lazy module, the one it becomes, and a shape of input.
ROWS = [
    (lambda: nn.LazyLinear(4), nn.Linear, (2, 3)),
    (lambda: nn.LazyLinear(4, bias=False), nn.Linear, (3,)),
    (lambda: nn.LazyConv1d(4, 2), nn.Conv1d, (1, 3, 5)),
    (lambda: nn.LazyConv2d(6, 2, 1, 0, 1, 3, False), nn.Conv2d, (3, 5, 5)),
    (lambda: nn.LazyConv3d(4, 1), nn.Conv3d, (1, 3, 2, 2, 2)),
    (lambda: nn.LazyConvTranspose1d(4, 2), nn.ConvTranspose1d, (1, 3, 5)),
    (lambda: nn.LazyConvTranspose2d(4, 2, bias=False), nn.ConvTranspose2d, (1, 3, 5, 5)),
    (lambda: nn.LazyConvTranspose3d(4, 2), nn.ConvTranspose3d, (1, 3, 2, 2, 2)),
    (nn.LazyBatchNorm1d, nn.BatchNorm1d, (4, 3)),
    (lambda: nn.LazyBatchNorm2d(affine=False), nn.BatchNorm2d, (2, 3, 4, 4)),
    (lambda: nn.LazyBatchNorm3d(track_running_stats=False), nn.BatchNorm3d, (2, 3, 2, 2, 2)),
    (lambda: nn.LazyInstanceNorm1d(affine=True), nn.InstanceNorm1d, (3, 4)),
    (lambda: nn.LazyInstanceNorm2d(affine=True), nn.InstanceNorm2d, (2, 3, 4, 4)),
    (lambda: nn.LazyInstanceNorm3d(affine=True), nn.InstanceNorm3d, (2, 3, 2, 2, 2)),
]


@pytest.mark.parametrize(("make", "kind", "shape"), ROWS, ids=lambda v: getattr(v, "__name__", ""))
def test_becomes_the_ordinary_module(make, kind, shape):
    module = make()
    waits = any(is_lazy(t) for t in (*module.parameters(), *module.buffers()))
    assert module.has_uninitialized_params() is waits
    y = module(torch.randn(*shape))
    assert type(module) is kind
    assert not any(is_lazy(t) for t in (*module.parameters(), *module.buffers()))
    assert not module._forward_pre_hooks
    assert not module._load_state_dict_pre_hooks
    assert y.shape == module(torch.randn(*shape)).shape


def test_an_ordinary_state_dict_gives_the_shapes():
    module = nn.LazyLinear(4)
    module.load_state_dict(nn.Linear(3, 4).state_dict())
    assert module.weight.shape == (4, 3)
    assert module(torch.ones(2, 3)).shape == (2, 4)
    assert module.in_features == 3


def test_a_lazy_state_dict_holds_what_has_no_shape():
    state = nn.LazyBatchNorm1d().state_dict()
    assert is_lazy(state["weight"])
    assert state["num_batches_tracked"].item() == 0


def test_casts_and_copies_before_the_first_input():
    module = copy.deepcopy(nn.LazyLinear(4).double())
    module = pickle.loads(pickle.dumps(module))
    assert isinstance(module.weight, UninitializedParameter)
    copied = copy.deepcopy(nn.LazyLinear(4).double())
    assert copied(torch.ones(2, 3, dtype=torch.float64)).dtype is torch.float64


def test_the_optimiser_may_come_before():
    module = nn.LazyLinear(1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module(torch.ones(1, 2)).sum().backward()
    before = module.weight.detach().clone()
    optimizer.step()
    assert torch.allclose(before - module.weight, torch.ones(1, 2))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.LazyLinear(4).weight.shape, RuntimeError, "Can't access the shape"),
        (lambda: nn.LazyLinear(4).share_memory(), RuntimeError, "Can't share memory"),
        (lambda: nn.LazyConv2d(4, 2)(torch.ones(2, 3)), RuntimeError, "3D .unbatched. or 4D"),
        (
            lambda: nn.LazyConv1d(4, 2, groups=2)(torch.ones(1, 3, 4)),
            ValueError,
            "in_channels must be divisible by groups",
        ),
    ],
)
def test_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_cast_before_the_first_input(dtype):
    layers = torch.nn.Sequential(torch.nn.LazyConv2d(4, 3), torch.nn.LazyBatchNorm2d()).to(dtype)
    y = layers(torch.ones(2, 3, 5, 5, dtype=dtype))
    assert y.dtype == layers[1].running_mean.dtype == dtype


def test_saved_before_the_first_input():
    file = io.BytesIO()
    torch.save(torch.nn.LazyLinear(3), file)
    file.seek(0)
    layer = torch.load(file, weights_only=False)
    assert layer.has_uninitialized_params()
    assert layer(torch.ones(2, 5)).shape == (2, 3)
