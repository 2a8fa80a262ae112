"""Optimizer: parameter groups and their errors, hooks, repr, gradients dropped."""

from __future__ import annotations

import copy
import pickle

import pytest

import disttorch
from disttorch import optim
from disttorch.optim import optimizer as module


class Halve(optim.Optimizer):
    """Halves its parameters."""

    def __init__(self, params, defaults=None):
        super().__init__(params, {"lr": 1.0} if defaults is None else defaults)

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p._array[...] /= 2


def test_groups_take_defaults(parameter):
    p, q = parameter(), parameter()
    optimiser = optim.SGD([{"params": [p], "lr": 0.5}, {"params": q}], lr=0.1)
    assert [g["lr"] for g in optimiser.param_groups] == [0.5, 0.1]
    assert [g["params"] for g in optimiser.param_groups] == [[p], [q]]


def test_named_parameters(parameter):
    p, q = parameter(), parameter()
    optimiser = optim.SGD([("a", p), ("b", q)], lr=0.1)
    assert optimiser.param_groups[0]["params"] == [p, q]
    assert optimiser.param_groups[0]["param_names"] == ["a", "b"]


def bad_params(make):
    p = make()
    leafless = p * 2
    return {
        "a tensor": (
            p,
            TypeError,
            "params argument given to the optimizer should be an iterable "
            "of Tensors or dicts, but got torch.FloatTensor",
        ),
        "nothing": ([], ValueError, "optimizer got an empty parameter list"),
        "a number": (
            [3],
            TypeError,
            "optimizer can only optimize Tensors, but one of the params is int",
        ),
        "a result": ([leafless], ValueError, "can't optimize a non-leaf Tensor"),
        "a set": (
            [{"params": {p}}],
            TypeError,
            "optimizer parameters need to be organized in ordered collections, but the "
            "ordering of tensors in sets will change between runs. Please use a list "
            "instead.",
        ),
        "twice": (
            [{"params": [p]}, {"params": [p]}],
            ValueError,
            "some parameters appear in more than one parameter group",
        ),
        "half named": (
            [("a", p), make()],
            ValueError,
            "all optimizer params should be with/without names. Some param names are missing",
        ),
        "one group named": (
            [{"params": [("a", p)]}, {"params": [make()]}],
            ValueError,
            "all optimizer param groups should be with/without names. cannot add "
            "param group without names to the optimizer",
        ),
        "no group": (
            [{"params": [p]}, 3],
            TypeError,
            "param_group must be a dict, but got <class 'int'>",
        ),
    }


@pytest.mark.parametrize("case", bad_params(lambda: disttorch.ones(1).requires_grad_()))
def test_bad_params(case, parameter):
    params, kind, text = bad_params(parameter)[case]
    with pytest.raises(kind) as raised:
        Halve(params)
    assert str(raised.value) == text


def test_required_settings(parameter):
    text = "parameter group didn't specify a value of required optimization parameter lr"
    with pytest.raises(ValueError, match=text):
        Halve([{"params": [parameter()]}], {"lr": module.required})
    assert repr(module.required) == "<required parameter>"


def test_duplicates_warn(parameter):
    p = parameter()
    with pytest.warns(UserWarning, match="optimizer contains a parameter group with duplicate"):
        Halve([p, p])


def test_hooks_run_in_order(parameter):
    seen = []
    optimiser = Halve([parameter()])
    handles = [
        optimiser.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre")),
        optimiser.register_step_post_hook(lambda o, args, kwargs: seen.append("post")),
        module.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("global pre")),
        module.register_optimizer_step_post_hook(lambda o, a, k: seen.append("global post")),
    ]
    optimiser.step()
    assert seen == ["global pre", "pre", "post", "global post"]
    for handle in handles:
        handle.remove()
    optimiser.step()
    assert len(seen) == 4


def test_pre_hook_replaces_arguments(parameter):
    p = parameter(grad=(1.0, 1.0))
    optimiser = optim.SGD([p], lr=1.0)
    optimiser.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
    assert optimiser.step() == 7
    optimiser.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimiser.step()


def test_zero_grad(parameter):
    p = parameter(grad=(1.0, 1.0))
    grad = p.grad
    optimiser = Halve([p])
    optimiser.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0.0, 0.0]
    optimiser.zero_grad()
    assert p.grad is None


def test_repr(parameter):
    assert repr(optim.SGD([parameter()], lr=0.5)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n"
        "    foreach: None\n    fused: None\n    lr: 0.5\n    maximize: False\n"
        "    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)"
    )
    two = optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=0.5)
    assert "    weight_decay: 0\n\nParameter Group 1\n    dampening: 0\n" in repr(two)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alone(clone, parameter):
    p = parameter(grad=(1.0, 1.0))
    optimiser = optim.Adam([p], lr=0.1)
    optimiser.step()
    twin = clone(optimiser)
    (q,) = twin.param_groups[0]["params"]
    q.grad = disttorch.ones(2)
    twin.step()
    assert twin.state[q]["step"].item() == 2
    assert optimiser.state[p]["step"].item() == 1
    assert q.tolist() != p.tolist()
