import pickle

import pytest

import disttorch
from disttorch import optim
from disttorch.amp import GradScaler
from disttorch.nn.parameter import Parameter


@pytest.fixture
def p():
    return Parameter(disttorch.ones(2))


def iterate(scaler, p, factor, lr=0.5):
    optimiser = optim.SGD([p], lr=lr)
    p.grad = None
    scaler.scale((p * factor).sum()).backward()
    scaler.step(optimiser)
    scaler.update()


def test_steps_are_those_without_a_scale(p):
    iterate(GradScaler("cpu", init_scale=1024.0), p, 1.0)
    assert p.tolist() == [0.5, 0.5]


def test_overflow_skips_the_step_and_lowers_the_scale(p):
    scaler = GradScaler("cpu", init_scale=8.0)
    iterate(scaler, p, float("inf"))
    assert p.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 4.0


def test_good_steps_raise_the_scale(p):
    scaler = GradScaler("cpu", init_scale=8.0, growth_interval=3)
    scales = []
    for factor in (1.0, 1.0, float("nan"), 1.0, 1.0, 1.0):
        iterate(scaler, p, factor, lr=0.0)
        scales.append(scaler.get_scale())
    assert scales == [8.0, 8.0, 4.0, 4.0, 4.0, 8.0]


def test_the_scale_never_becomes_infinite(p):
    scaler = GradScaler("cpu", init_scale=3e38, growth_interval=1)
    iterate(scaler, p, 1e-38, lr=0.0)
    assert scaler.get_scale() == pytest.approx(3e38)


def test_pickled_between_iterations_only(p):
    scaler = GradScaler("cpu", init_scale=8.0, growth_interval=1)
    iterate(scaler, p, 1.0, lr=0.0)
    assert pickle.loads(pickle.dumps(scaler)).get_scale() == 16.0
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optim.SGD([p], lr=0.1))
    with pytest.raises(AssertionError, match="may only be pickled at the beginning"):
        pickle.dumps(scaler)


def test_disabled_does_nothing(p):
    scaler = GradScaler("cpu", enabled=False)
    assert scaler.scale(p) is p
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1.0
    p.grad = disttorch.ones(2)
    scaler.step(optim.SGD([p], lr=0.5))
    scaler.update()
    assert p.tolist() == [0.5, 0.5]
