"""Gradients through steps, against differences of steps that are not recorded."""

import numpy as np
import pytest

import disttorch
from disttorch import optim

SETTINGS = {
    # Not with momentum: PyTorch takes the first gradient into the buffer unrecorded.
    "SGD": {"lr": 0.1, "weight_decay": 0.1},
    "Adam": {"lr": 0.1, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.1, "centered": True, "momentum": 0.5},
    "Adagrad": {"lr": 0.1},
    "Adadelta": {"lr": 1.0},
    "ASGD": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
}
START = np.array([0.5, -1.0, 2.0])
GRAD = np.array([1.0, -0.3, 0.2])


def final_loss(name, start, lr, recorded):
    """Sum of squares of a parameter after three steps with gradients that depend on it."""
    settings = {**SETTINGS[name], "lr": lr, "differentiable": recorded}
    param = start.clone() if recorded else disttorch.nn.Parameter(start.detach().clone())
    optimiser = getattr(optim, name)([param], **settings)
    for i in range(3):
        param.grad = disttorch.from_numpy(GRAD * (i + 1))
        optimiser.step()
    return (param**2).sum()


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_through_steps(name):
    # Learning rates as tensors, except where PyTorch's own steps take numbers only.
    as_tensor = name in ("SGD", "Adam")
    start = disttorch.from_numpy(START.copy()).requires_grad_()
    rate = SETTINGS[name]["lr"]
    lr = disttorch.tensor(rate, dtype=disttorch.float64).requires_grad_() if as_tensor else rate
    final_loss(name, start, lr, recorded=True).backward()
    eps = 1e-6

    def difference(shift, rate_shift):
        ends = [
            final_loss(name, disttorch.from_numpy(START + s * shift), rate + s * rate_shift, False)
            for s in (eps, -eps)
        ]
        return (ends[0] - ends[1]).item() / (2 * eps)

    want = [difference(unit, 0.0) for unit in np.eye(3)]
    np.testing.assert_allclose(start.grad.numpy(), want, rtol=1e-4, atol=1e-6)
    if as_tensor:
        assert lr.grad.item() == pytest.approx(difference(np.zeros(3), 1.0), rel=1e-4)


def test_leaves_are_refused():
    p = disttorch.ones(2).requires_grad_()
    p.grad = disttorch.ones(2)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        optim.SGD([p], differentiable=True).step()
