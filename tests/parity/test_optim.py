"""Optimisers and schedulers against PyTorch: its own table of optimisers, then step by step."""

import warnings

import pytest

import disttorch
from tests.parity import optim_db

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's test data needs expecttest")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NAMES = [info.name for info in optim_db.infos()]


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration(name):
    (info,) = optim_db.infos(f"^{name}$")
    row = optim_db.row_of(info, every_dtype=False)
    assert row.total
    assert row.errors_total
    assert not row.failures, "\n".join(row.failures)


# ---- schedulers -----------------------------------------------------------------------------

N_EPOCHS = 30
METRICS = [1.0, 0.9, 0.95, 0.9, 0.91, *([0.9] * 12), 0.3, *([0.3] * 12)]

# (module of schedulers, optimiser) -> scheduler
SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 7),
    "StepLR gamma": lambda s, o: s.StepLR(o, 1, gamma=1.1),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 3, 9], 0.3),
    "MultiStepLR none": lambda s, o: s.MultiStepLR(o, []),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR long": lambda s, o: s.ConstantLR(o, 0.7, 40),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR down": lambda s, o: s.LinearLR(o, 1.0, 0.0, 12),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o),
    "PolynomialLR cube": lambda s, o: s.PolynomialLR(o, 35, 3.0),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 30),
    "CosineAnnealingLR min": lambda s, o: s.CosineAnnealingLR(o, 7, eta_min=0.2),
    "CosineAnnealingLR one": lambda s, o: s.CosineAnnealingLR(o, 1),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10),
    "CosineAnnealingWarmRestarts x3": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 3, 0.05),
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda e: 1 / (e + 1), lambda e: 0.5**e]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.8 + 0.01 * e),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.1, 0.3, 5),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, 0.1, [0.3, 0.9], 3, 6, "triangular2"),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(
        o, 0.1, 0.3, 2, mode="exp_range", gamma=0.8, base_momentum=0.7, max_momentum=0.95
    ),
    "CyclicLR iterations": lambda s, o: s.CyclicLR(
        o, 0.1, 0.3, 5, scale_fn=lambda x: 0.9**x, scale_mode="iterations", cycle_momentum=False
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=N_EPOCHS + 1),
    "OneCycleLR three": lambda s, o: s.OneCycleLR(
        o,
        [0.5, 1.0],
        epochs=8,
        steps_per_epoch=4,
        pct_start=0.2,
        div_factor=5,
        final_div_factor=10,
        three_phase=True,
        cycle_momentum=False,
    ),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, 0.7, total_steps=40, anneal_strategy="linear", base_momentum=0.8, max_momentum=0.9
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 20)], [5]
    ),
    "SequentialLR of three": lambda s, o: s.SequentialLR(
        o,
        [s.ConstantLR(o, 0.2, 30), s.PolynomialLR(o, 10), s.CosineAnnealingWarmRestarts(o, 4)],
        [6, 15],
    ),
    "SequentialLR of chains": lambda s, o: s.SequentialLR(
        o,
        [s.ChainedScheduler([s.ConstantLR(o, 0.5, 9), s.ExponentialLR(o, 0.9)]), s.StepLR(o, 3)],
        [10],
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.5, 1.0, 8), s.MultiStepLR(o, [4, 20]), s.ExponentialLR(o, 0.95)]
    ),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=2),
    "ReduceLROnPlateau abs": lambda s, o: s.ReduceLROnPlateau(
        o,
        "max",
        0.5,
        1,
        0.05,
        "abs",
        cooldown=2,
        min_lr=[0.1, 0.01],
    ),
}


def optimiser_of(library, tensor_lr):
    p, q = (library.ones(1).requires_grad_() for _ in range(2))
    lr = library.tensor(0.5, dtype=library.float64) if tensor_lr else 0.5
    groups = [{"params": [p]}, {"params": [q], "lr": 0.2}]
    return library.optim.SGD(groups, lr=lr, momentum=0.9)


def advance(scheduler, optimiser, epoch):
    optimiser.step()
    given = (METRICS[epoch],) if type(scheduler).__name__ == "ReduceLROnPlateau" else ()
    scheduler.step(*given)


def rates_of(library, make, tensor_lr=False):
    optimiser = optimiser_of(library, tensor_lr)
    scheduler = make(library.optim.lr_scheduler, optimiser)
    seen = []
    for epoch in range(N_EPOCHS):
        advance(scheduler, optimiser, epoch)
        groups = optimiser.param_groups
        seen.append([(float(g["lr"]), g["momentum"]) for g in groups])
        assert [float(rate) for rate in scheduler.get_last_lr()] == [rate for rate, _ in seen[-1]]
    return seen


@pytest.mark.parametrize("name", SCHEDULES)
def test_thirty_rates(name):
    assert rates_of(disttorch, SCHEDULES[name]) == rates_of(torch, SCHEDULES[name])


@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith("OneCycle")])
def test_thirty_rates_in_a_tensor(name):
    want = rates_of(torch, SCHEDULES[name], tensor_lr=True)
    got = rates_of(disttorch, SCHEDULES[name], tensor_lr=True)
    for ours, theirs in zip(got, want, strict=True):
        for (rate, momentum), (their_rate, their_momentum) in zip(ours, theirs, strict=True):
            assert rate == pytest.approx(their_rate, rel=1e-12)
            assert momentum == their_momentum


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_in_the_other_library(name):
    """PyTorch's state after 9 epochs, loaded here: the remaining rates are PyTorch's."""
    pairs = []
    for library in (torch, disttorch):
        optimiser = optimiser_of(library, tensor_lr=False)
        pairs.append((SCHEDULES[name](library.optim.lr_scheduler, optimiser), optimiser))
    (theirs, their_optimiser), (ours, our_optimiser) = pairs
    for epoch in range(9):
        advance(theirs, their_optimiser, epoch)
    state = theirs.state_dict()
    # Functions are not part of what can be saved; PyTorch leaves its own in the dict.
    state.pop("_scale_fn_custom", None)
    our_optimiser.load_state_dict(optim_db.to_ours(their_optimiser.state_dict()))
    ours.load_state_dict(state)
    for epoch in range(9, N_EPOCHS):
        advance(theirs, their_optimiser, epoch)
        advance(ours, our_optimiser, epoch)
        assert [g["lr"] for g in our_optimiser.param_groups] == [
            g["lr"] for g in their_optimiser.param_groups
        ]


def overridden(s, o):
    scheduler = s.StepLR(o, 2)
    step = type(o).step
    o.step = lambda *args: step(o, *args)
    o.step()
    scheduler.step()


# Each does something that PyTorch refuses or warns of.
REFUSED = {
    "no optimizer": lambda s, o: s.StepLR("sgd", 2),
    "step first": lambda s, o: s.StepLR(o, 2).step(),
    "step overridden": overridden,
    "epoch given": lambda s, o: (o.step(), s.StepLR(o, 2).step(3)),
    "get_lr": lambda s, o: s.ExponentialLR(o, 0.5).get_lr(),
    "resumed": lambda s, o: s.StepLR(o, 2, last_epoch=3),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda e: e] * 3),
    "no function": lambda s, o: s.MultiplicativeLR(o, [3, 4]),
    "constant": lambda s, o: s.ConstantLR(o, 1.5),
    "linear start": lambda s, o: s.LinearLR(o, 0.0),
    "linear end": lambda s, o: s.LinearLR(o, 0.5, 1.5),
    "restarts T_0": lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    "restarts T_mult": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 1.5),
    "restarts eta_min": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, eta_min="0"),
    "restarts epoch": lambda s, o: s.CosineAnnealingWarmRestarts(o, 2).step(-1),
    "sequential empty": lambda s, o: s.SequentialLR(o, [], []),
    "sequential milestones": lambda s, o: s.SequentialLR(o, [s.ExponentialLR(o, 0.9)], [1]),
    "sequential plateau": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "sequential thing": lambda s, o: s.SequentialLR(o, [3], []),
    "chained empty": lambda s, o: s.ChainedScheduler([]),
    "chained plateau": lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)], o),
    "plateau factor": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, "avg"),
    "plateau threshold": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="relative"),
    "plateau min_lr": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    "plateau optimizer": lambda s, o: s.ReduceLROnPlateau(1),
    "cyclic mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
    "cyclic lengths": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "one cycle nothing": lambda s, o: s.OneCycleLR(o, 0.1),
    "one cycle total": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=0),
    "one cycle epochs": lambda s, o: s.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=2),
    "one cycle steps": lambda s, o: s.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=0),
    "one cycle pct": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=3, pct_start=2.0),
    "one cycle strategy": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=3, anneal_strategy="x"),
}


def complaint(library, do):
    """The type and text of the error or warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            do(library.optim.lr_scheduler, optimiser_of(library, tensor_lr=False))
        except Exception as error:
            return type(error).__name__, str(error)
    return None


@pytest.mark.parametrize("name", REFUSED)
def test_complaints(name):
    want = complaint(torch, REFUSED[name])
    assert want is not None
    assert complaint(disttorch, REFUSED[name]) == want
