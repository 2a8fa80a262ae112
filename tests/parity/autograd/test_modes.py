"""Recording on and off, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def grad_modes(t):
    x = leaf(t, 1)
    seen = []
    with t.no_grad():
        seen.append((x * 2).requires_grad)
        with t.enable_grad():
            seen.append((x * 2).requires_grad)
        seen.append(t.is_grad_enabled())
    with t.set_grad_enabled(False):
        seen.append((x * 2).requires_grad)

    @t.no_grad()
    def f():
        return (x * 2).requires_grad

    seen += [f(), t.is_grad_enabled()]
    t.set_grad_enabled(False)
    seen.append((x * 2).requires_grad)
    t.set_grad_enabled(True)
    with t.inference_mode():
        seen += [(x * 2).requires_grad, t.is_inference_mode_enabled()]
    return seen


@program
def integers_carry_no_gradient(t):
    x = leaf(t, 1.5, 2.5)
    return (x > 2).requires_grad, x.argmax().requires_grad, x.long().requires_grad


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
