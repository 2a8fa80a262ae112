"""Module: calls, conversions, modes, printing."""

from __future__ import annotations

import copy
import pickle

import pytest

import disttorch
from disttorch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout()

    def forward(self, x):
        return self.drop(self.norm(self.layer(x)))


def test_forward_is_needed():
    with pytest.raises(NotImplementedError) as raised:
        nn.Module()(1)
    assert str(raised.value) == 'Module [Module] is missing the required "forward" function'


def test_init_takes_no_arguments():
    with pytest.raises(TypeError, match=r"Module.__init__\(\) got an unexpected keyword argument"):
        nn.Module(x=1)
    with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
        nn.Module(1)


CONVERSIONS = [
    (lambda n: n.double(), "float64"),
    (lambda n: n.half(), "float16"),
    (lambda n: n.bfloat16(), "bfloat16"),
    (lambda n: n.double().float(), "float32"),
    (lambda n: n.to(disttorch.float64), "float64"),
    (lambda n: n.to("cpu", disttorch.float64), "float64"),
    (lambda n: n.to(disttorch.ones(1, dtype=disttorch.float64)), "float64"),
    (lambda n: n.to(device="cpu", dtype=disttorch.float64), "float64"),
    (lambda n: n.to("cpu"), "float32"),
    (lambda n: n.cpu(), "float32"),
]


@pytest.mark.parametrize(("convert", "name"), CONVERSIONS)
def test_conversions_keep_identity(convert, name):
    net = Net()
    net(disttorch.ones(3, 2)).sum().backward()
    params = list(net.parameters())
    grads = [p.grad for p in params]
    assert convert(net) is net
    dtype = getattr(disttorch, name)
    assert all(p is q for p, q in zip(net.parameters(), params, strict=True))
    assert all(p.grad is g for p, g in zip(params, grads, strict=True))
    assert {p.dtype for p in params} | {p.grad.dtype for p in params} == {dtype}
    assert all(p.requires_grad and p.is_leaf for p in params)
    assert net.norm.running_mean.dtype is dtype
    assert net.norm.num_batches_tracked.dtype is disttorch.int64


def test_type_casts_everything():
    assert nn.BatchNorm1d(2).type(disttorch.float64).num_batches_tracked.dtype is disttorch.float64


def test_to_refuses_integers():
    with pytest.raises(TypeError) as raised:
        Net().to(disttorch.int64)
    assert str(raised.value) == (
        "nn.Module.to only accepts floating point or complex dtypes, but got desired "
        "dtype=torch.int64"
    )


def test_modes():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.drop.train()
    assert [m.training for m in net.modules()] == [False, False, False, True]
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)


def test_requires_grad_and_zero_grad():
    net = Net()
    net(disttorch.ones(3, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad.abs().sum().item() == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_apply_goes_bottom_up():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "Dropout", "Net"]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(clone):
    net = Net()
    twin = clone(net)
    twin.layer.weight.data.fill_(0)
    assert net.layer.weight.abs().sum().item() > 0
    assert repr(twin) == repr(net)
    assert twin(disttorch.ones(3, 2)).shape == (3, 2)


def test_pickles_of_older_versions_get_the_registers_they_lack():
    net = Net()
    state = {k: v for k, v in net.__dict__.items() if k != "_forward_pre_hooks_with_kwargs"}
    twin = Net.__new__(Net)
    twin.__setstate__(state)
    assert twin._forward_pre_hooks_with_kwargs == {}


def test_shared_parameters_stay_shared():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    twin = copy.deepcopy(net)
    assert twin[0].weight is twin[1].weight
    assert len(list(twin.parameters())) == 3


class Noted(nn.Module):
    def __init__(self, note, *children):
        super().__init__()
        self.note = note
        for i, child in enumerate(children):
            self.add_module(f"c{i}", child)

    def extra_repr(self):
        return self.note


REPRS = [
    (Noted(""), "Noted()"),
    (Noted("a=1"), "Noted(a=1)"),
    (Noted("a=1\nb=2"), "Noted(\n  a=1\n  b=2\n)"),
    (Noted("a=1", nn.ReLU()), "Noted(\n  a=1\n  (c0): ReLU()\n)"),
    (
        Noted("", Noted("", nn.ReLU()), None),
        "Noted(\n  (c0): Noted(\n    (c0): ReLU()\n  )\n  (c1): None\n)",
    ),
]


@pytest.mark.parametrize(("module", "want"), REPRS)
def test_repr(module, want):
    assert repr(module) == want


def test_training_a_step_end_to_end():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimiser = disttorch.optim.SGD(net.parameters(), lr=0.5)
    x = disttorch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = disttorch.tensor([0, 1, 1, 0])
    losses = []
    for _ in range(200):
        optimiser.zero_grad()
        loss = nn.CrossEntropyLoss()(net(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]


def test_compiling_is_accepted_and_changes_nothing():
    layer = nn.Linear(2, 2)
    x = disttorch.ones(1, 2)
    want = layer(x)
    assert layer.compile(mode="max-autotune") is None
    assert disttorch.equal(layer._call_impl(x), want)
