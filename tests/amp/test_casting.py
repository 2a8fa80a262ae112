"""What autocast replaces while it is on, and that nothing is left of it afterwards."""

import threading

import pytest

import disttorch
from disttorch.amp import casting
from disttorch.nn import functional as F


def everything():
    """All attributes that autocast may replace."""
    owners = (disttorch, F, disttorch.Tensor, disttorch.linalg, disttorch.fft)
    owners += casting._LOWER_OPS
    return [(owner, dict(vars(owner))) for owner in owners]


def test_nothing_stays_behind():
    with disttorch.autocast("cpu"):
        pass  # loads what is loaded lazily
    before = everything()
    with disttorch.autocast("cpu"), disttorch.autocast("cpu", enabled=False):
        pass
    with pytest.raises(KeyError), disttorch.autocast("cpu"):
        raise KeyError
    for (_, then), (_, now) in zip(before, everything(), strict=True):
        assert then == now


def test_two_threads_at_once():
    """The one that leaves first does not take autocast away from the other."""
    inside, left = threading.Event(), threading.Event()
    seen = []

    def other():
        with disttorch.autocast("cpu"):
            inside.set()
            left.wait(10)
            seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with disttorch.autocast("cpu"):
        seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)
    seen.append((disttorch.ones(1, 1) @ disttorch.ones(1, 1)).dtype)
    left.set()
    thread.join()
    assert seen == [disttorch.bfloat16, disttorch.float32, disttorch.bfloat16]


def test_gradients_have_the_parameters_dtype():
    linear = disttorch.nn.Linear(3, 2)
    with disttorch.autocast("cpu"):
        out = linear(disttorch.ones(1, 3))
        loss = F.mse_loss(out, disttorch.zeros(1, 2))
    assert (out.dtype, loss.dtype) == (disttorch.bfloat16, disttorch.float32)
    loss.backward()
    assert linear.weight.grad.dtype is disttorch.float32


def test_casts_are_forgotten_at_the_end():
    w = disttorch.ones(2, 2).requires_grad_()
    with disttorch.autocast("cpu"):
        before = (disttorch.ones(1, 2) @ w).tolist()
        with disttorch.no_grad():
            w.mul_(2)
    with disttorch.autocast("cpu"):
        assert (disttorch.ones(1, 2) @ w).tolist() != before
