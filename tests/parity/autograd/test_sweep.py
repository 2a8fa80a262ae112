"""The sweep: accumulation, roots, inputs, graphs kept and freed, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def gradients_accumulate(t):
    x = leaf(t, 1, 2, 3)
    (x * 2).sum().backward()
    first = x.grad.clone()
    (x * x).sum().backward()
    return first, x.grad


@program
def diamond(t):
    x = leaf(t, 1, 2)
    a = x * 2
    b, c = a.exp(), a.sin()
    (b * c + a).sum().backward()
    return x.grad


@program
def broadcasting_is_undone(t):
    x, y = leaf(t, 1, 2, 3), leaf(t, 2)
    z = t.ones(2, 3, dtype=t.float64) * x + y
    (z * z).sum().backward()
    return x.grad, y.grad


@program
def promotion_is_undone(t):
    x = leaf(t, 1, 2, dtype=t.float32)
    y = leaf(t, 3, 4)
    (x * y).sum().backward()
    return x.grad, y.grad


@program
def third_order(t):
    x = leaf(t, 0.5, 1.5)
    y = (x.sin() * x**3).sum()
    orders = []
    for _ in range(3):
        (g,) = t.autograd.grad(y, x, create_graph=True)
        orders.append(g)
        y = g.sum()
    return orders


@program
def create_graph_accumulates_with_history(t):
    x = leaf(t, 2)
    (x**3).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    return g, x.grad


@program
def backward_twice(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    y.backward()
    y.backward()


@program
def backward_twice_without_saved_tensors(t):
    x = leaf(t, 1, 2)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


@program
def retain_graph(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@program
def refused_backwards(t):
    x = leaf(t, 1, 2)
    y = x * 2
    plain = t.ones(2)
    return errors(
        y.backward,
        plain.backward,
        lambda: y.backward(t.ones(3, dtype=t.float64)),
        lambda: plain.sum().backward(),
        lambda: t.autograd.grad(y.sum(), plain),
        lambda: t.autograd.grad(y.sum(), leaf(t, 1)),
        lambda: t.autograd.backward([y, y], [t.ones(2)]),
        lambda: t.tensor([1, 2], requires_grad=True),
        lambda: y.requires_grad_(False),
        lambda: plain.register_hook(print),
        plain.retain_grad,
    )


@program
def grad_of_unused(t):
    x, y = leaf(t, 1), leaf(t, 2)
    z = (x * 2).sum()
    a = t.autograd.grad(z, (x, y), allow_unused=True, retain_graph=True)
    b = t.autograd.grad(z, (x, y), materialize_grads=True)
    return a, b


@program
def grad_leaves_dot_grad_alone(t):
    x = leaf(t, 1, 2)
    g = t.autograd.grad((x * x).sum(), x)
    return g, x.grad


@program
def grad_of_an_intermediate(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = (y * y).sum()
    return t.autograd.grad(z, (y, x))


@program
def backward_with_inputs(t):
    x, y = leaf(t, 1), leaf(t, 2)
    (x * y).sum().backward(inputs=[x])
    return x.grad, y.grad


@program
def several_roots(t):
    x = leaf(t, 1, 2)
    y, z = x * 2, x * x
    t.autograd.backward([y, z], [t.ones(2, dtype=t.float64), t.tensor([1.0, 0.5], dtype=t.float64)])
    return x.grad


@program
def several_outputs_some_unused(t):
    x = leaf(t, 3, 1, 2)
    values, _ = x.sort()
    _, b, _ = x.unbind(0)
    (values[0] * 2 + b * 5).backward()
    return x.grad


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
