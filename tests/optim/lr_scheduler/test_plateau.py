"""ReduceLROnPlateau, against torch over a run of metrics, and its errors."""

from __future__ import annotations

import math

import pytest

import disttorch
from disttorch.optim import SGD
from disttorch.optim.lr_scheduler import ReduceLROnPlateau

METRICS = [3.0, 2.0, 2.0, 2.1, 1.9999, 1.5, 1.6, 1.7, math.nan, 1.4, 1.4, 1.4, 1.4, 1.39, 5.0, 5.0]
SETTINGS = [
    {},
    {"patience": 1, "factor": 0.5},
    {"patience": 0, "cooldown": 2, "min_lr": [0.02, 0.0]},
    {"patience": 1, "mode": "max", "threshold_mode": "abs", "threshold": 0.5},
    {"patience": 1, "mode": "max"},
    {"patience": 1, "threshold_mode": "abs", "eps": 0.1},
]


def rates(library, settings):
    params = [library.ones(1).requires_grad_() for _ in range(2)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.2}]
    optimiser = library.optim.SGD(groups, lr=0.5)
    scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimiser, **settings)
    seen = []
    for metric in METRICS:
        scheduler.step(metric)
        seen.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best))
    return seen


@pytest.mark.parity
@pytest.mark.parametrize("settings", SETTINGS)
def test_rates_are_torchs(settings):
    torch = pytest.importorskip("torch", reason="torch not installed")
    assert rates(disttorch, settings) == rates(torch, settings)


def test_rate_falls_after_patience():
    seen = [lrs[0] for lrs, _, _ in rates(disttorch, {"patience": 1, "factor": 0.5})]
    assert seen[:5] == [0.5, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"factor": 1.0}, "Factor should be < 1.0."),
        ({"mode": "mean"}, "mode mean is unknown!"),
        ({"threshold_mode": "none"}, "threshold mode none is unknown!"),
        ({"min_lr": [1, 2]}, "expected 1 min_lrs, got 2"),
    ],
)
def test_refused(settings, text):
    optimiser = SGD([disttorch.ones(1).requires_grad_()])
    with pytest.raises(ValueError, match=text):
        ReduceLROnPlateau(optimiser, **settings)
