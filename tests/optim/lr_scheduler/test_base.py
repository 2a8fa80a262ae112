"""Every scheduler's rates over 30 steps, against torch and against values worked out by hand."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import optim
from disttorch.optim import lr_scheduler as ours

# name: a function of (the scheduler module, an optimiser) that makes the scheduler.
SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 20], 0.1),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.9, 7),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 11, 2.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 6, 0.01),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR each": lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), lambda e: 2.0]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 4),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, [0.01, 0.1], 1.0, 4, 3, "triangular2"),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.9),
    "CyclicLR scale": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda x: 1 / x),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=31),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.1, 0.2], epochs=4, steps_per_epoch=8, anneal_strategy="linear", three_phase=True
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], [4, 12]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)], o
    ),
}
N_STEPS = 30


def optimiser_of(library):
    p, q = (library.ones(1).requires_grad_() for _ in range(2))
    groups = [{"params": [p]}, {"params": [q], "lr": 0.2}]
    return library.optim.SGD(groups, lr=0.5, momentum=0.9)


def sequence(library, make, n_steps=N_STEPS):
    """Rates and momentums of all groups after each step."""
    optimiser = optimiser_of(library)
    scheduler = make(library.optim.lr_scheduler, optimiser)
    seen = []
    for _ in range(n_steps):
        seen.append([(g["lr"], g["momentum"]) for g in optimiser.param_groups])
        assert scheduler.get_last_lr() == [g["lr"] for g in optimiser.param_groups]
        optimiser.step()
        scheduler.step()
    return seen


@pytest.mark.parity
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_torchs(name, torch):
    assert sequence(disttorch, SCHEDULES[name]) == sequence(torch, SCHEDULES[name])


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for n in SCHEDULES if "scale" not in n])
def test_state_has_torchs_keys(name, torch):
    states = []
    for library in (disttorch, torch):
        optimiser = optimiser_of(library)
        states.append(SCHEDULES[name](library.optim.lr_scheduler, optimiser).state_dict())
    assert set(states[0]) <= set(states[1]) | {"_get_lr_called_within_step", "_is_initial"}
    assert set(states[1]) - set(states[0]) <= {"_get_lr_called_within_step", "_is_initial"}


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("StepLR", [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
        ("ConstantLR", [0.125, 0.125, 0.125, 0.125, 0.5, 0.5, 0.5]),
        ("LinearLR", [0.05, 0.05 + 0.4 / 7, 0.05 + 0.8 / 7, 0.05 + 1.2 / 7]),
        ("ExponentialLR", [0.5, 0.45, 0.405, 0.3645]),
        ("CosineAnnealingLR", [0.5, 0.01 + 0.245 * (1 + 3**0.5 / 2), 0.3775, 0.255]),
        ("LambdaLR each", [0.5, 0.25, 0.5 / 3, 0.125]),
        ("CyclicLR", [0.01, 0.0325, 0.055, 0.0775, 0.1, 0.0775]),
        ("SequentialLR", [0.05, 0.05, 0.05, 0.5, 0.5, 0.45]),
    ],
)
def test_first_rates(name, want):
    got = [groups[0][0] for groups in sequence(disttorch, SCHEDULES[name], len(want))]
    assert got == pytest.approx(want)


@pytest.mark.parametrize("name", SCHEDULES)
def test_loading_resumes(name):
    optimiser = optimiser_of(disttorch)
    scheduler = SCHEDULES[name](ours, optimiser)
    other_optimiser = optimiser_of(disttorch)
    for _ in range(5):
        optimiser.step()
        scheduler.step()
    other = SCHEDULES[name](ours, other_optimiser)
    other_optimiser.load_state_dict(optimiser.state_dict())
    other.load_state_dict(scheduler.state_dict())
    for o, s in ((optimiser, scheduler), (other_optimiser, other)):
        o.step()
        s.step()
    assert scheduler.get_last_lr() == other.get_last_lr()
    assert scheduler.last_epoch == other.last_epoch if hasattr(scheduler, "last_epoch") else True


def test_step_before_the_optimizer_warns():
    scheduler = ours.StepLR(optimiser_of(disttorch), 3)
    with pytest.warns(UserWarning, match="Detected call of `lr_scheduler.step\\(\\)` before"):
        scheduler.step()


def test_steps_before_the_scheduler_was_made_do_not_count():
    optimiser = optimiser_of(disttorch)
    optimiser.step()
    scheduler = ours.StepLR(optimiser, 3)
    with pytest.warns(UserWarning, match="Detected call of"):
        scheduler.step()


def test_get_lr_warns_outside_step():
    scheduler = ours.ExponentialLR(optimiser_of(disttorch), 0.5)
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()


def test_step_to_an_epoch_uses_the_closed_form():
    optimiser = optimiser_of(disttorch)
    scheduler = ours.StepLR(optimiser, 3, 0.5)
    optimiser.step()
    with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
        scheduler.step(7)
    assert optimiser.param_groups[0]["lr"] == 0.125


def test_resuming_needs_initial_lr():
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups"):
        ours.StepLR(optimiser_of(disttorch), 3, last_epoch=4)


def test_no_optimizer():
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        ours.ExponentialLR(3, 0.5)


def test_a_tensor_rate_is_written_in_place():
    lr = disttorch.tensor(1.0)
    optimiser = optim.SGD([disttorch.ones(1).requires_grad_()], lr=lr)
    scheduler = ours.ExponentialLR(optimiser, 0.5)
    optimiser.step()
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] is lr
    assert lr.item() == 0.5
