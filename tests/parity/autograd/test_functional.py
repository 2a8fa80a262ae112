"""`autograd.functional`: Jacobians, Hessians and products, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


def outer(x, y):
    return x[:, None] * y.exp()


def several(x, y):
    return x * x, (y.sum() * x).sum()


def energy(x):
    return (x.sin() * x * x).sum()


def bilinear(x, y):
    return (x[:, None] * y * y).sum()


@program
def jacobians(t):
    x, y = leaf(t, 0.5, 1.0, 1.5), leaf(t, 2, 3)
    f = t.autograd.functional
    return (
        f.jacobian(t.sin, x),
        f.jacobian(outer, (x, y)),
        f.jacobian(several, (x, y)),
        f.jacobian(several, (x, y), vectorize=True),
        f.jacobian(several, (x.detach(), y.detach()), vectorize=True, strategy="forward-mode"),
        f.jacobian(lambda x: x.sum(), x.detach()),
        f.jacobian(lambda x: (x * 2,), x),
        f.jacobian(lambda x: y * 2, x),
        f.jacobian(lambda x: x.reshape(3, 1), x),
    )


@program
def jacobian_with_graph(t):
    x = leaf(t, 0.5, 1.0)
    jac = t.autograd.functional.jacobian(t.sin, x, create_graph=True)
    jac.sum().backward()
    plain = t.autograd.functional.jacobian(t.sin, x.detach(), create_graph=True)
    return jac, x.grad, plain.requires_grad


@program
def hessians(t):
    x, y = leaf(t, 0.5, 1.0, 1.5), leaf(t, 2, 3)
    f = t.autograd.functional
    forward = f.hessian(bilinear, (x, y), vectorize=True, outer_jacobian_strategy="forward-mode")
    return (
        f.hessian(energy, x),
        f.hessian(energy, (x,)),
        f.hessian(bilinear, (x, y)),
        f.hessian(bilinear, (x, y), vectorize=True),
        [[block.detach() for block in row] for row in forward],
        f.hessian(lambda x: x.sum(), x),
        f.hessian(lambda x: (x**3).sum().reshape(1, 1), x),
        f.hessian(energy, x, create_graph=True),
        f.hessian(energy, x, strict=True),
    )


@program
def products(t):
    x, y = leaf(t, 0.5, 1.0, 1.5), leaf(t, 2, 3)
    v, w = t.ones(3, dtype=t.float64), t.tensor([1.0, 0.5], dtype=t.float64)
    f = t.autograd.functional
    return (
        f.vjp(t.sin, x, v),
        f.vjp(energy, x),
        f.vjp(several, (x, y), (v, v[0])),
        f.jvp(t.sin, x, v),
        f.jvp(several, (x, y), (v, w)),
        f.jvp(t.sin, x[:1]),
        f.vhp(energy, x, v),
        f.vhp(bilinear, (x, y), (v, w)),
        f.hvp(energy, x, v),
        f.hvp(bilinear, (x, y), (v, w)),
        f.hvp(lambda x: x.sum(), x, v),
        f.vhp(lambda x: x.sum(), x, v),
        f.vjp(t.sin, x, v, create_graph=True),
        f.jvp(t.sin, x, v, create_graph=True),
        f.hvp(energy, x, v, create_graph=True),
        f.vhp(energy, x, v, create_graph=True),
    )


@program
def without_recording(t):
    x = leaf(t, 0.5, 1.0)
    f = t.autograd.functional
    with t.no_grad():
        return f.jacobian(t.sin, x), f.vjp(energy, x), f.hessian(energy, x)


@program
def strict_mode(t):
    x, y = leaf(t, 0.5, 1.0), leaf(t, 2, 3)
    v = t.ones(2, dtype=t.float64)
    f = t.autograd.functional

    def constant(x):
        return x.detach() * 2

    def unused(x, y):
        return x * x

    def linear(x):
        return x.sum() * 3

    return errors(
        lambda: f.jacobian(constant, x, strict=True),
        lambda: f.jacobian(unused, (x, y), strict=True),
        lambda: f.jacobian(lambda x: x * 2, x, create_graph=True, strict=True),
        lambda: f.vjp(constant, x, v, strict=True),
        lambda: f.vjp(unused, (x, y), v, strict=True),
        lambda: f.vjp(lambda x: x * 2, x, v, strict=True, create_graph=True),
        lambda: f.jvp(constant, x, v, strict=True),
        lambda: f.jvp(unused, (x, y), (v, v), strict=True),
        lambda: f.vhp(linear, x, v, strict=True),
        lambda: f.hvp(linear, x, v, strict=True),
        lambda: f.hessian(linear, x, strict=True),
        lambda: f.hessian(constant, x, strict=True),
    )


@program
def refused(t):
    x, y = leaf(t, 0.5, 1.0), leaf(t, 2, 3)
    v = t.ones(2, dtype=t.float64)
    f = t.autograd.functional
    return errors(
        lambda: f.jacobian(t.sin, 3.0),
        lambda: f.jacobian(t.sin, (3.0,)),
        lambda: f.jacobian(lambda x: 3.0, x),
        lambda: f.jacobian(lambda x: (x, 3.0), x),
        lambda: f.jacobian(lambda x: [x, x], x),
        lambda: f.jacobian(t.sin, x, strategy="sideways"),
        lambda: f.jacobian(t.sin, x, strategy="forward-mode"),
        lambda: f.jacobian(t.sin, x, strategy="forward-mode", create_graph=True),
        lambda: f.jacobian(t.sin, x, strategy="forward-mode", strict=True),
        lambda: f.jacobian(t.sin, x, strict=True, vectorize=True),
        lambda: f.vjp(t.sin, x),
        lambda: f.vjp(t.sin, x, v[:1]),
        lambda: f.vjp(t.sin, x, (v, v)),
        lambda: f.vjp(several, (x, y), v),
        lambda: f.vjp(several, (x, y), (v, v)),
        lambda: f.jvp(t.sin, x),
        lambda: f.jvp(t.sin, x, v[:1]),
        lambda: f.vhp(t.sin, x, v),
        lambda: f.vhp(lambda x: (x.sum(), x), x, v),
        lambda: f.hvp(energy, x),
        lambda: f.hvp(t.sin, x, v),
        lambda: f.hessian(t.sin, x),
        lambda: f.hessian(lambda x: (x.sum(),), x),
        lambda: f.hessian(energy, x, outer_jacobian_strategy="sideways"),
        lambda: f.hessian(energy, "x"),
    )


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
