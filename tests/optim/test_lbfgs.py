import numpy as np
import pytest

import disttorch
from disttorch import optim
from disttorch.nn.parameter import Parameter
from disttorch.testing.fake_device import FakeBackend


def minimise(p, loss_of, n_steps, **settings):
    """Losses at the beginning of each step."""
    optimiser = optim.LBFGS([p], **settings)

    def closure():
        optimiser.zero_grad()
        loss = loss_of(p)
        loss.backward()
        return loss

    return [optimiser.step(closure).item() for _ in range(n_steps)], optimiser


def rosenbrock(p):
    x, y = p.unbind()
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


@pytest.mark.parametrize("line_search_fn", ["strong_wolfe"])
def test_the_valley_of_rosenbrock(line_search_fn):
    p = Parameter(disttorch.tensor([-1.2, 1.0], dtype=disttorch.float64))
    losses, _ = minimise(p, rosenbrock, 5, line_search_fn=line_search_fn)
    assert losses[0] > 20
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(p.detach().numpy(), [1.0, 1.0], atol=1e-3)


def test_a_quadratic_takes_as_many_iterations_as_dimensions():
    a = disttorch.tensor([1.0, 5.0, 20.0], dtype=disttorch.float64)
    p = Parameter(disttorch.ones(3, dtype=disttorch.float64))
    search = {"line_search_fn": "strong_wolfe", "max_iter": 12}
    _, optimiser = minimise(p, lambda p: (a * p * p).sum(), 1, **search)
    np.testing.assert_allclose(p.detach().numpy(), 0, atol=1e-4)
    assert optimiser.state[p]["n_iter"] <= 12


def test_limits_are_kept():
    p = Parameter(disttorch.tensor([-1.2, 1.0]))
    settings = {"max_iter": 3, "max_eval": 100, "history_size": 2, "line_search_fn": "strong_wolfe"}
    _, optimiser = minimise(p, rosenbrock, 4, **settings)
    state = optimiser.state[p]
    assert state["n_iter"] == 12
    assert len(state["old_dirs"]) == len(state["ro"]) == 2


def test_at_the_minimum_nothing_moves():
    p = Parameter(disttorch.tensor([1.0, 1.0]))
    losses, _ = minimise(p, rosenbrock, 2)
    assert losses == [0.0, 0.0]
    assert p.tolist() == [1.0, 1.0]


def test_the_fake_device_agrees():
    backend = FakeBackend()
    results = []
    for to_device in (disttorch.tensor, lambda v: disttorch.Tensor._wrap(backend.asarray(v))):
        p = Parameter(to_device(np.array([-1.2, 1.0])))
        minimise(p, rosenbrock, 3, line_search_fn="strong_wolfe")
        results.append(p.tolist())
    assert results[0] == results[1]


def test_refusals():
    p, q = (Parameter(disttorch.ones(1)) for _ in range(2))
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        minimise(p, lambda p: (p * p).sum(), 1, line_search_fn="armijo")
