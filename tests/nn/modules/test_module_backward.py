"""Full backward hooks where inputs or outputs are unusual."""

from __future__ import annotations

import pytest

import disttorch
from disttorch import nn


class Two(nn.Module):
    """Two tensors in (and a number), two out."""

    def forward(self, x, number, y):
        return x * number, y + 1


def hooked():
    module, seen = Two(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    return module, seen


def test_gradients_stand_at_their_arguments():
    module, seen = hooked()
    x, y = disttorch.ones(2, requires_grad=True), disttorch.ones(2)
    a, b = module(x, 3, y)
    (a.sum() + b.sum()).backward()
    ((grad_x, number, grad_y), (grad_a, _)) = seen[0]
    assert grad_x.tolist() == [3.0, 3.0]
    assert number is None
    assert grad_y.tolist() == [0.0, 0.0]  # it is a tensor, though it needs no gradient
    assert grad_a.tolist() == [1.0, 1.0]


def test_without_input_gradients_the_hook_fires_at_the_outputs():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(gi))
    out = layer(disttorch.ones(1, 2))
    with pytest.warns(UserWarning, match="Full backward hook is firing when gradients are"):
        out.backward()
    assert seen == [(None,)]


@pytest.mark.parametrize(
    ("register", "text"),
    [
        (
            "register_full_backward_hook",
            "Backward hook returned an invalid number of grad_input, got 1, but expected 3",
        ),
        (
            "register_full_backward_pre_hook",
            "Backward pre hook returned an invalid number of grad_output, got 1, but expected 2",
        ),
    ],
)
def test_wrong_number_of_gradients(register, text):
    module = Two()
    getattr(module, register)(lambda m, *grads: (grads[0][0],))
    x = disttorch.ones(2, requires_grad=True)
    a, b = module(x, 3, x)
    with pytest.raises(RuntimeError, match=text):
        (a + b).sum().backward()


def test_nothing_is_hooked_without_recording():
    module, seen = hooked()
    x = disttorch.ones(2)
    a, _ = module(x, 3, x)
    assert a.grad_fn is None
    assert seen == []


def test_an_output_that_is_no_tensor_warns():
    class Listed(nn.Module):
        def forward(self, x):
            return [x * 2]

    module = Listed()
    module.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.warns(UserWarning, match="For backward hooks to be called, module output should"):
        module(disttorch.ones(1, requires_grad=True))
