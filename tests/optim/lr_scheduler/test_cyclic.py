"""What the cyclic schedules refuse."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import optim
from disttorch.optim import lr_scheduler as s

POSITIVE = "Expected positive integer {}, but got {}"
REFUSED = [
    ("OneCycleLR", {}, "You must define either total_steps OR (epochs AND steps_per_epoch)"),
    ("OneCycleLR", {"total_steps": 0}, POSITIVE.format("total_steps", 0)),
    ("OneCycleLR", {"epochs": -1, "steps_per_epoch": 2}, POSITIVE.format("epochs", -1)),
    ("OneCycleLR", {"epochs": 1, "steps_per_epoch": 2.5}, POSITIVE.format("steps_per_epoch", 2.5)),
    (
        "OneCycleLR",
        {"total_steps": 9, "pct_start": 2.0},
        "Expected float between 0 and 1 pct_start, but got 2.0",
    ),
    (
        "OneCycleLR",
        {"total_steps": 9, "anneal_strategy": "jump"},
        "anneal_strategy must be one of 'cos' or 'linear', instead got jump",
    ),
    (
        "OneCycleLR",
        {"total_steps": 9, "max_lr": [1.0, 2.0]},
        "max_lr must have the same length as optimizer.param_groups. max_lr has 2 values, "
        "param_groups has 1.",
    ),
    ("CyclicLR", {"base_lr": 0.1, "mode": "square"}, "mode is invalid and scale_fn is None"),
]


@pytest.mark.parametrize(("name", "settings", "text"), REFUSED)
def test_refused(name, settings, text):
    optimiser = optim.SGD([disttorch.ones(1).requires_grad_()], momentum=0.9)
    with pytest.raises(ValueError) as raised:
        getattr(s, name)(optimiser, **{"max_lr": 0.1, **settings})
    assert str(raised.value) == text


def test_momentum_is_needed():
    optimiser = optim.Adagrad([disttorch.ones(1).requires_grad_()])
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        s.OneCycleLR(optimiser, 0.1, total_steps=5)


def test_beta1_moves_where_there_is_no_momentum():
    optimiser = optim.Adam([disttorch.ones(1).requires_grad_()])
    s.OneCycleLR(optimiser, 0.1, total_steps=5)
    assert optimiser.param_groups[0]["betas"] == (0.95, 0.999)


def test_stepping_past_the_end():
    optimiser = optim.SGD([disttorch.ones(1).requires_grad_()], momentum=0.9)
    scheduler = s.OneCycleLR(optimiser, 0.1, total_steps=2)
    for _ in range(2):
        optimiser.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 3 times\\. The specified number of total"):
        scheduler.step()
