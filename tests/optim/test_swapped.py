import copy

import pytest

import disttorch
from disttorch import optim
from disttorch.nn.parameter import Parameter


def stepped(library, value=1.0):
    p = library.nn.Parameter(library.full((2,), value))
    optimiser = library.optim.Adam([p], lr=0.1)
    p.grad = library.ones(2)
    optimiser.step()
    return p, optimiser


def test_steps_act_on_what_was_given():
    p, optimiser = stepped(disttorch)
    before, state = p.tolist(), copy.deepcopy(optimiser.state_dict())
    state["param_groups"][0]["lr"] = 0.5
    other = Parameter(disttorch.zeros(2))
    other.grad = disttorch.ones(2)
    with optim.swap_in_optimizer_params_and_state(optimiser, {"p": other}, state):
        assert optimiser.param_groups[0]["lr"] == 0.5
        optimiser.step()
    assert other.tolist() == pytest.approx([-0.5, -0.5])
    assert p.tolist() == before
    assert optimiser.param_groups[0]["params"] == [p]
    assert optimiser.param_groups[0]["lr"] == 0.1
    assert optimiser.state[p]["step"].item() == 1
    assert state["state"][0]["step"].item() == 2


def wrong(given, **changes):
    return {**given, **changes}


REFUSED = {
    "no dict": lambda s, g: 3,
    "state": lambda s, g: wrong(s, state=[1]),
    "entry": lambda s, g: wrong(s, state={0: 3}),
    "extra": lambda s, g: wrong(s, state={**s["state"], 7: {}}),
    "groups": lambda s, g: wrong(s, param_groups={}),
    "number of groups": lambda s, g: wrong(s, param_groups=[]),
    "group": lambda s, g: wrong(s, param_groups=[3]),
    "params": lambda s, g: wrong(s, param_groups=[{**g, "params": ["p"]}]),
    "number of params": lambda s, g: wrong(s, param_groups=[{**g, "params": [0, 1]}]),
    "keys": lambda s, g: wrong(s, param_groups=[{"params": [0], "rate": 3}]),
}


def refusal(library, name):
    _, optimiser = stepped(library)
    state = optimiser.state_dict()
    given = REFUSED[name](state, state["param_groups"][0])
    swap = library.optim.swap_in_optimizer_params_and_state
    with (
        pytest.raises(RuntimeError) as caught,
        swap(optimiser, {"p": library.zeros(2)}, given),
    ):
        pass
    return str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, torch):
    ours, theirs = refusal(disttorch, name), refusal(torch, name)
    # The settings of the two Adams have their own order.
    assert ours.split("Keys only")[0] == theirs.split("Keys only")[0]


def test_a_state_is_needed():
    optimiser = optim.Adam([Parameter(disttorch.ones(1))])
    swap = optim.swap_in_optimizer_params_and_state
    with pytest.raises(RuntimeError, match="requires initialized optimizer state"):
        swap(optimiser, {}, {}).__enter__()
