"""Averaged models against torch's, updated from the same parameters."""

import copy

import numpy as np
import pytest

import disttorch
from disttorch import nn
from disttorch.optim import swa_utils

AVERAGES = {
    "default": lambda u: {},
    "buffers": lambda u: {"use_buffers": True},
    "ema": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.8)},
    "ema one by one": lambda u: {"avg_fn": u.get_ema_avg_fn(0.8)},
    "swa one by one": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "ema with buffers": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(), "use_buffers": True},
    "own": lambda u: {"avg_fn": lambda average, current, n: (average + current) / n},
}


def averaged(library, utils, settings):
    model = library.nn.Sequential(library.nn.Linear(3, 2), library.nn.BatchNorm1d(2))
    rng = np.random.default_rng(0)
    average = utils.AveragedModel(model, **settings(utils))
    for _ in range(4):
        with library.no_grad():
            for t in model.state_dict().values():
                t.copy_(library.from_numpy(np.asarray(rng.standard_normal(t.shape) * 9)))
        average.update_parameters(model)
    return average


@pytest.mark.parity
@pytest.mark.parametrize("name", AVERAGES)
def test_averages(name):
    torch = pytest.importorskip("torch")
    theirs = averaged(torch, torch.optim.swa_utils, AVERAGES[name]).state_dict()
    ours = averaged(disttorch, swa_utils, AVERAGES[name]).state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key].numpy(), value.numpy(), rtol=1e-5, err_msg=key)


def test_the_mean_of_what_was_seen():
    model = nn.Linear(1, 1, bias=False)
    average = swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(3.0)
    assert average(disttorch.ones(1, 1)).item() == pytest.approx(3.0)
    assert average.n_averaged.item() == 3


def test_two_functions_are_refused():
    settings = {"avg_fn": swa_utils.get_swa_avg_fn(), "multi_avg_fn": lambda *_: None}
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(nn.Linear(1, 1), **settings)


@pytest.mark.parametrize("make", [swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn])
def test_decay_is_a_share(make):
    with pytest.raises(ValueError, match=r"Invalid decay value 1\.5 provided"):
        make(1.5)


def test_statistics_of_all_batches():
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    model = nn.Sequential(nn.BatchNorm1d(4, momentum=0.3))
    model.eval()
    batches = [(disttorch.from_numpy(rows[i : i + 10]), None) for i in (0, 10, 20)]
    swa_utils.update_bn(batches, model)
    np.testing.assert_allclose(model[0].running_mean.numpy(), rows.mean(0), rtol=1e-4, atol=1e-6)
    assert model[0].momentum == 0.3
    assert not model.training


def test_without_batch_norm_nothing_is_run():
    swa_utils.update_bn(iter([1]), nn.Linear(1, 1))


SCHEDULES = {
    "default": {"swa_lr": 0.05},
    "linear": {"swa_lr": [0.05, 0.3], "anneal_strategy": "linear", "anneal_epochs": 7},
    "at once": {"swa_lr": 0.05, "anneal_epochs": 0},
    "strategy": {"swa_lr": 0.05, "anneal_strategy": "square"},
    "epochs": {"swa_lr": 0.05, "anneal_epochs": -1},
    "lengths": {"swa_lr": [0.05]},
}


def rates(library, utils, settings):
    p, q = (library.ones(1).requires_grad_() for _ in range(2))
    optimiser = library.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.2}], lr=0.5)
    try:
        scheduler = utils.SWALR(optimiser, **copy.deepcopy(settings))
    except ValueError as error:
        return str(error)
    seen = []
    for _ in range(15):
        seen.append(scheduler.get_last_lr())
        optimiser.step()
        scheduler.step()
    return seen, sorted(scheduler.state_dict())


@pytest.mark.parity
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name):
    torch = pytest.importorskip("torch")
    want = rates(torch, torch.optim.swa_utils, SCHEDULES[name])
    got = rates(disttorch, swa_utils, SCHEDULES[name])
    if isinstance(want, str):
        assert got == want
        return
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    assert set(want[1]) - set(got[1]) <= {"_get_lr_called_within_step", "_is_initial"}
