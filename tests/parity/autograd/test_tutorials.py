"""What tutorials show of autograd, step by step, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def second_derivative_by_two_backwards(t):
    x, y = leaf(t, 2), leaf(t, 3)
    z = x * x * y
    z.backward(create_graph=True)
    x.grad.data.zero_()
    x.grad.backward()
    return x.grad.detach(), x.grad.grad_fn is None


@program
def second_derivative_through_dot_grad(t):
    x, y = leaf(t, 2), leaf(t, 3)
    z = x * x * y
    z.backward(create_graph=True)
    return t.autograd.grad(outputs=x.grad, inputs=x)


@program
def vectors_by_weights(t):
    x = leaf(t, 1, 2)
    y = x * x
    first = t.autograd.grad(outputs=y, inputs=x, grad_outputs=t.ones_like(y), retain_graph=True)
    y.backward(gradient=t.tensor([1.0, 0.1], dtype=t.float64))
    return first, x.grad


@program
def leaves_and_what_is_none(t):
    a = t.ones(2, 2, requires_grad=True)
    b = a * 3
    c = b.sum()
    c.backward()
    return a.is_leaf, b.is_leaf, c.is_leaf, a.grad, b.grad, t.ones(1).is_leaf, b.grad_fn.name()


@program
def changing_a_leaf(t):
    a = t.tensor([10.0, 5.0, 2.0, 3.0], requires_grad=True)
    number = id(a)
    refused = errors(lambda: a.add_(10.0))
    a.data.fill_(10.0)
    a.detach().fill_(11.0)
    with t.no_grad():
        a[:] = 12.0
    loss = (a * a).mean()
    loss.backward()
    return refused, a.detach(), a.grad, id(a) == number, a.is_leaf


@program
def changing_what_was_saved(t):
    a = t.tensor([1.0, 3.0], requires_grad=True)
    b = a + 2
    loss = (b * b).mean()
    b[0] = 1000.0
    return errors(loss.backward)


@program
def data_hides_a_change_and_detach_does_not(t):
    a = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    out = a.sigmoid()
    out.data.zero_()
    out.sum().backward()
    again = a.sigmoid()
    again.detach().zero_()
    return a.grad, errors(again.sum().backward), str(out)


@program
def clone_and_copy(t):
    a = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = a.clone()
    c = t.empty(3).copy_(a)
    (b * 2).sum().backward()
    (c * 3).sum().backward()
    return str(a), str(b), str(c), a.grad, b.grad_fn.name(), c.grad_fn.name()


@program
def printing_says_how_it_was_made(t):
    x = t.ones(2, 2, requires_grad=True)
    y = x + 2
    z = y * y * 3
    w = x * 1
    w[0] = 5.0
    return [str(v) for v in (x, y, z, z.mean(), w, w[0], x.detach(), x.unbind(0)[1])]


@program
def a_function_of_ones_own(t):
    class Mul(t.autograd.Function):
        @staticmethod
        def forward(ctx, w, x, b, x_requires_grad=True):
            ctx.x_requires_grad = x_requires_grad
            ctx.save_for_backward(w, x)
            return w * x + b

        @staticmethod
        def backward(ctx, grad_output):
            w, x = ctx.saved_tensors
            grad_x = grad_output * w if ctx.x_requires_grad else None
            return grad_output * x, grad_x, grad_output * 1, None

    w, x, b = leaf(t, 2), t.ones(1, dtype=t.float64), leaf(t, 3)
    z = Mul.apply(w, x, b)
    z.backward()
    without = Mul.apply(w, leaf(t, 5), b, False)
    without.sum().backward()
    return z.detach(), w.grad, x.grad, b.grad


@program
def gradients_clipped_by_hooks(t):
    layer = t.nn.Linear(2, 1, bias=False)
    t.nn.init.constant_(layer.weight, 1.0)
    for parameter in layer.parameters():
        parameter.register_hook(lambda grad: grad.clamp_(-0.5, 0.5))
    layer(t.tensor([[3.0, -4.0]])).sum().backward()
    return layer.weight.grad


@program
def variables_of_old(t):
    Variable = t.autograd.Variable
    x = Variable(t.ones(2), requires_grad=True)
    y = Variable(t.ones(2))
    (x * y * 2).sum().backward()
    return (
        x.grad,
        x.data,
        y.requires_grad,
        isinstance(x, Variable),
        errors(
            lambda: Variable([1.0]),
            lambda: Variable(t.tensor([1]), requires_grad=True),
            lambda: Variable(t.ones(1), requires_grad=True, volatile=True),
        ),
    )


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
