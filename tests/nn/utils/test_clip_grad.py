"""Clipping gradients, against torch and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import disttorch
from disttorch.nn import utils

GRADS = [np.array([[3.0, -4.0]], np.float32), np.array([12.0], np.float32), None]


def parameters(library, grads):
    made = []
    for grad in grads:
        p = library.nn.Parameter(library.ones(grad.shape if grad is not None else (1,)))
        p.grad = None if grad is None else library.from_numpy(grad.copy())
        made.append(p)
    return made


def clipped(library, function, *args):
    params = parameters(library, GRADS)
    total = getattr(library.nn.utils, function)(params, *args)
    return total, [p.grad.numpy() for p in params[:2]]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("clip_grad_norm_", (1.0,)),
        ("clip_grad_norm_", (100.0,)),
        ("clip_grad_norm_", (1.0, 1)),
        ("clip_grad_norm_", (1.0, 3.5)),
        ("clip_grad_norm_", (1.0, math.inf)),
        ("clip_grad_norm_", (1.0, "inf")),
        ("clip_grad_value_", (3.5,)),
    ],
)
def test_as_torch(function, args):
    torch = pytest.importorskip("torch", reason="torch not installed")
    want, got = (clipped(library, function, *args) for library in (torch, disttorch))
    for theirs, ours in zip(want[1], got[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    if want[0] is not None:
        np.testing.assert_allclose(got[0].numpy(), want[0].numpy(), rtol=1e-6)
        assert got[0].shape == ()


def test_norm_by_hand():
    total, grads = clipped(disttorch, "clip_grad_norm_", 6.5)
    assert total.item() == 13.0
    np.testing.assert_allclose(grads[0], [[1.5, -2.0]], rtol=1e-6)
    np.testing.assert_allclose(grads[1], [6.0], rtol=1e-6)


def test_value_by_hand():
    _, grads = clipped(disttorch, "clip_grad_value_", 3.5)
    assert grads[0].tolist() == [[3.0, -3.5]]
    assert grads[1].tolist() == [3.5]


def test_without_gradients():
    assert utils.clip_grad_norm_(parameters(disttorch, [None]), 1.0).item() == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_error_if_nonfinite(bad):
    params = parameters(disttorch, [np.array([bad, 1.0], np.float32)])
    with pytest.raises(RuntimeError) as raised:
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert str(raised.value) == (
        "The total norm of order 2.0 for gradients from `parameters` is non-finite, so it cannot "
        "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, "
        "set `error_if_nonfinite=False`"
    )
    assert params[0].grad[1].item() == 1.0
