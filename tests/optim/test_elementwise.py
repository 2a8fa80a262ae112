"""Every elementwise optimiser: 20 steps as torch makes them, first steps worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import disttorch
from disttorch import optim
from disttorch.backends.cpu.numpy_backend import CPU
from disttorch.nn.parameter import Parameter

CONFIGURATIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"betas": (0.5, 0.7), "eps": 1e-3}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "foreach": True}),
    ("Adam", {"maximize": True, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.2, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "maximize": True}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("ASGD", {"t0": 5, "lambd": 0.1, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 1.0), "maximize": True}),
]
IDS = [f"{name}-{'-'.join(settings)}" for name, settings in CONFIGURATIONS]
TOLERANCES = {"float32": 2e-6, "float64": 1e-12, "complex64": 2e-6}


def steps(library, optimiser, params, make, n_steps=20):
    """Make steps with gradients drawn from one stream."""
    rng = np.random.default_rng(1)
    for _ in range(n_steps):
        for p, array in zip(params, make.arrays, strict=True):
            grad = np.asarray(rng.standard_normal(array.shape)).astype(array.dtype)
            p.grad = library.from_numpy(grad.copy())
        optimiser.step()


class Pair:
    """Equal parameters and optimisers in two libraries."""

    def __init__(self, name, settings, arrays, torch):
        self.arrays = arrays
        # order="K": both libraries get the first array laid out column by column.
        self.theirs = [torch.nn.Parameter(torch.from_numpy(a.copy(order="K"))) for a in arrays]
        self.ours = [Parameter(disttorch.from_numpy(a.copy(order="K"))) for a in arrays]
        self.torch = torch
        self.their_optimiser = getattr(torch.optim, name)(self.theirs, **settings)
        self.our_optimiser = getattr(optim, name)(self.ours, **settings)

    def step(self):
        steps(self.torch, self.their_optimiser, self.theirs, self)
        steps(disttorch, self.our_optimiser, self.ours, self)


@pytest.mark.parity
@pytest.mark.parametrize("np_dtype", TOLERANCES)
@pytest.mark.parametrize(("name", "settings"), CONFIGURATIONS, ids=IDS)
def test_twenty_steps_are_torchs(name, settings, np_dtype, arrays, torch, monkeypatch):
    monkeypatch.setattr(type(CPU), "fused_block", 2_000)  # the second parameter takes three
    pair = Pair(name, settings, arrays(np_dtype), torch)
    pair.step()
    tolerance = TOLERANCES[np_dtype]
    for theirs, ours in zip(pair.theirs, pair.ours, strict=True):
        want = theirs.detach().numpy()
        np.testing.assert_allclose(ours.detach().numpy(), want, rtol=tolerance, atol=2 * tolerance)
    assert repr(pair.our_optimiser) == repr(pair.their_optimiser)


@pytest.mark.parity
@pytest.mark.parametrize(("name", "settings"), CONFIGURATIONS, ids=IDS)
def test_state_has_torchs_layout(name, settings, arrays, torch):
    pair = Pair(name, settings, arrays("float32"), torch)
    pair.step()
    theirs, ours = pair.their_optimiser.state_dict(), pair.our_optimiser.state_dict()
    assert theirs["param_groups"] == ours["param_groups"]
    assert list(theirs["state"]) == list(ours["state"])
    for number, state in theirs["state"].items():
        assert list(state) == list(ours["state"][number])
        for key, value in state.items():
            if value is not None:
                got = ours["state"][number][key]
                assert (str(got.dtype), tuple(got.shape)) == (str(value.dtype), tuple(value.shape))
                np.testing.assert_allclose(got.numpy(), value.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "want"),
    [
        ("SGD", {"lr": 0.1}, [0.95, 2.1]),
        ("SGD", {"lr": 0.1, "maximize": True}, [1.05, 1.9]),
        ("SGD", {"lr": 0.1, "weight_decay": 1.0}, [0.85, 1.9]),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, [0.95, 2.1]),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, [0.905, 2.19]),
        ("Adam", {"lr": 0.1, "eps": 0.0}, [0.9, 2.1]),
        ("AdamW", {"lr": 0.1, "eps": 0.0, "weight_decay": 0.5}, [0.85, 2.0]),
        ("Adagrad", {"lr": 0.1, "eps": 0.0}, [0.9, 2.1]),
        ("RMSprop", {"lr": 0.1, "eps": 0.0, "alpha": 0.75}, [0.8, 2.2]),
        ("Adamax", {"lr": 0.1, "eps": 0.0}, [0.9, 2.1]),
        ("Rprop", {"lr": 0.1}, [0.9, 2.1]),
    ],
)
def test_first_step(name, settings, want, parameter):
    p = parameter((1.0, 2.0), grad=(0.5, -1.0))
    getattr(optim, name)([p], **settings).step()
    np.testing.assert_allclose(p.detach().numpy(), want, rtol=1e-6)


def test_a_step_is_in_place_and_seen_by_autograd(parameter):
    p = parameter(grad=(1.0, 1.0))
    array, version = p._array, p._version
    optim.Adam([p]).step()
    assert p._array is array
    assert p._version == version + 1


def test_parameters_without_gradient_stay(parameter):
    p, q = parameter(grad=(1.0, 1.0)), parameter((3.0, 4.0))
    optimiser = optim.Adam([p, q])
    optimiser.step()
    assert q.tolist() == [3.0, 4.0]
    assert list(optimiser.state) == [p]


def test_gradients_are_only_read(parameter):
    for name in sorted({name for name, _ in CONFIGURATIONS}):
        p = parameter(grad=(0.5, -1.0))
        settings = {} if name == "Rprop" else {"weight_decay": 0.1}
        getattr(optim, name)([p], **settings, maximize=True).step()
        assert p.grad.tolist() == [0.5, -1.0], name


@pytest.mark.parametrize("dtype", [disttorch.float16, disttorch.bfloat16])
def test_narrow_parameters_are_computed_in_float32(dtype):
    values = np.linspace(-1, 1, 5, dtype=np.float32)
    wide = Parameter(disttorch.tensor(values))
    narrow = Parameter(disttorch.tensor(values).to(dtype))
    for p in (wide, narrow):
        optimiser = optim.Adam([p], lr=0.1)
        for _ in range(3):
            p.grad = disttorch.ones(5, dtype=p.dtype)
            optimiser.step()
    assert narrow.dtype is dtype
    got = narrow.detach().float().numpy()
    np.testing.assert_allclose(got, wide.detach().numpy(), atol=0.02)


def test_parameters_that_are_not_dense(parameter):
    base = np.ones((4, 6), np.float32)
    p = Parameter(disttorch.from_numpy(base[:, ::2]))
    p.grad = disttorch.ones(4, 3)
    optim.SGD([p], lr=0.5, momentum=0.9).step()
    assert base[:, ::2].tolist() == [[0.5] * 3] * 4
    assert base[:, 1::2].tolist() == [[1.0] * 3] * 4


def test_a_tensor_as_learning_rate(parameter):
    p = parameter(grad=(0.5, -1.0))
    lr = disttorch.tensor(0.1)
    optimiser = optim.SGD([p], lr=lr)
    optimiser.step()
    lr.fill_(1.0)
    optimiser.step()
    np.testing.assert_allclose(p.detach().numpy(), [0.45, 3.1], rtol=1e-6)


def test_closure_runs_with_gradients_on(parameter):
    p = parameter()
    optimiser = optim.SGD([p], lr=0.1)

    def closure():
        optimiser.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with disttorch.no_grad():
        loss = optimiser.step(closure)
    assert loss.item() == 5.0
    np.testing.assert_allclose(p.detach().numpy(), [0.8, 1.6], rtol=1e-6)
