"""Saving and loading optimisers, also those of torch."""

from __future__ import annotations

import numpy as np
import pytest

import disttorch
from disttorch import optim


def trained(make, n_steps=2, **settings):
    p, q = make(), make((3.0,))
    optimiser = optim.Adam([{"params": [p], "lr": 0.5}, {"params": [q]}], **settings)
    for _ in range(n_steps):
        p.grad, q.grad = disttorch.ones(2), disttorch.ones(1)
        optimiser.step()
    return p, q, optimiser


def test_layout(parameter):
    p, _, optimiser = trained(parameter)
    state = optimiser.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][0]["exp_avg"] is optimiser.state[p]["exp_avg"]


def test_resuming_gives_the_same_numbers(parameter):
    p, q, optimiser = trained(parameter)
    p2, q2, other = trained(parameter, n_steps=0)
    p2.data, q2.data = p.data.clone(), q.data.clone()
    other.load_state_dict(optimiser.state_dict())
    for a, b, o in ((p, q, optimiser), (p2, q2, other)):
        a.grad, b.grad = disttorch.ones(2), disttorch.ones(1)
        o.step()
    assert p.tolist() == p2.tolist()
    assert q.tolist() == q2.tolist()
    assert optimiser.state[p]["step"].item() == other.state[p2]["step"].item() == 3


def test_loaded_state_is_a_copy_in_the_parameters_dtype(parameter):
    _, _, optimiser = trained(parameter)
    wide = disttorch.nn.parameter.Parameter(disttorch.ones(2, dtype=disttorch.float64))
    narrow = parameter((3.0,))
    other = optim.Adam([{"params": [wide]}, {"params": [narrow]}])
    other.load_state_dict(optimiser.state_dict())
    assert other.state[wide]["exp_avg"].dtype is disttorch.float64
    assert other.state[wide]["step"].dtype is disttorch.float32
    other.state[narrow]["exp_avg"].fill_(9)
    assert 9 not in optimiser.state_dict()["state"][1]["exp_avg"].tolist()


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ([[0]], "loaded state dict has a different number of parameter groups"),
        (
            [[0, 1], [2]],
            "loaded state dict contains a parameter group that doesn't match the size"
            " of optimizer's group",
        ),
    ],
)
def test_groups_that_do_not_match(groups, text, parameter):
    _, _, optimiser = trained(parameter)
    given = {"state": {}, "param_groups": [{"params": params} for params in groups]}
    with pytest.raises(ValueError, match=text):
        optimiser.load_state_dict(given)


def test_hooks(parameter):
    _, _, optimiser = trained(parameter)
    seen = []
    optimiser.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    optimiser.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    optimiser.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["extra"]))
    optimiser.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    optimiser.load_state_dict(optimiser.state_dict())
    assert seen == ["pre", 1, "loaded"]


@pytest.mark.parity
def test_state_of_torch_is_taken_over(parameter, torch):
    theirs = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    their_optimiser = torch.optim.Adam([theirs], amsgrad=True)
    theirs.grad = torch.tensor([0.5, -1.0])
    their_optimiser.step()
    given = their_optimiser.state_dict()
    given["state"] = {
        number: {key: disttorch.from_numpy(value.numpy()) for key, value in state.items()}
        for number, state in given["state"].items()
    }
    ours = parameter(theirs.tolist(), grad=(1.0, 1.0))
    our_optimiser = optim.Adam([ours])
    our_optimiser.load_state_dict(given)
    theirs.grad = torch.ones(2)
    their_optimiser.step()
    our_optimiser.step()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6)
