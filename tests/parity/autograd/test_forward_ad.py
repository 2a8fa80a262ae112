"""`autograd.forward_ad`: dual tensors, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors

pytestmark = pytest.mark.parity
program = Programs()


def pair(t):
    x = t.tensor([0.3, 0.6], dtype=t.float64)
    return x, t.tensor([1.0, 2.0], dtype=t.float64)


@program
def tangents_are_carried(t):
    x, v = pair(t)
    fwd = t.autograd.forward_ad
    with fwd.dual_level():
        dual = fwd.make_dual(x, v)
        y = dual.sin() * dual.sum() + x
        made, result = fwd.unpack_dual(dual), fwd.unpack_dual(y)
        plain = fwd.unpack_dual(x * 2)
        constant = fwd.unpack_dual(x)
    after = fwd.unpack_dual(y)
    return (
        [p.detach() for p in (made.primal, result.primal)],
        [made.tangent, result.tangent],
        plain.tangent,
        constant.tangent,
        after.tangent,
    )


@program
def two_duals(t):
    x, v = pair(t)
    fwd = t.autograd.forward_ad
    with fwd.dual_level():
        a, b = fwd.make_dual(x, v), fwd.make_dual(x + 1, v * 2)
        return fwd.unpack_dual(a * b).tangent, fwd.unpack_dual((a @ b).exp()).tangent


@program
def forward_over_reverse(t):
    x, v = pair(t)
    x.requires_grad_()
    fwd = t.autograd.forward_ad
    with fwd.dual_level():
        y = (fwd.make_dual(x, v) ** 3).sum()
        tangent = fwd.unpack_dual(y).tangent
        (g,) = t.autograd.grad(tangent, x)
    return tangent.detach(), g


@program
def modules(t):
    x, v = pair(t)
    layer = t.nn.Linear(2, 2).double()
    for k, p in enumerate(layer.parameters()):
        t.nn.init.constant_(p, 0.5 + k)
    fwd = t.autograd.forward_ad
    with fwd.dual_level():
        return fwd.unpack_dual(layer(fwd.make_dual(x, v)).tanh()).tangent.detach()


@program
def refused(t):
    x, v = pair(t)
    fwd = t.autograd.forward_ad

    def nested():
        with fwd.dual_level(), fwd.dual_level():
            pass

    def integers():
        with fwd.dual_level():
            fwd.make_dual(t.tensor([1, 2]), v)

    return errors(lambda: fwd.make_dual(x, v), integers), [e[0] for e in errors(nested)]


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
