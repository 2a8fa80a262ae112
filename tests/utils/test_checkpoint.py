"""What checkpointing is for: activations are gone until backward, and nothing stays behind."""

from __future__ import annotations

import gc
import weakref

import pytest

import disttorch as torch
from disttorch.utils.checkpoint import checkpoint


@pytest.fixture(params=[True, False], ids=["reentrant", "not"])
def reentrant(request):
    return request.param


def test_activations_die_until_backward(reentrant):
    gc.disable()
    try:
        living = []

        def block(x):
            y = x.exp()
            living.append(weakref.ref(y))
            return y.sin()

        x = torch.ones(3, requires_grad=True)
        z = checkpoint(block, x, use_reentrant=reentrant)
        assert living[0]() is None
        z.sum().backward()
        assert len(living) == 2 and living[1]() is None
        assert x.grad.tolist() == pytest.approx([2.71828 * -0.91173] * 3, rel=1e-4)
        node = weakref.ref(z.grad_fn)
        del z
        assert node() is None
    finally:
        gc.enable()


def test_the_default_variant_is_announced():
    x = torch.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(torch.sin, x)


def test_inputs_without_grad_are_noticed():
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(torch.sin, torch.ones(3), use_reentrant=True)


def test_an_error_of_the_second_run_reaches_the_caller():
    runs = []

    def block(x):
        runs.append(1)
        if len(runs) == 2:
            raise ValueError("second run")
        return x.exp()

    y = checkpoint(block, torch.ones(3, requires_grad=True), use_reentrant=False)
    with pytest.raises(ValueError, match="second run"):
        y.sum().backward()
    assert not torch.autograd.graph.SAVED_HOOKS
