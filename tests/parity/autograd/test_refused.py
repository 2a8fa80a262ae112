"""What is refused, and in which words: each line is one mistake, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def backward_of_what_has_no_history(t):
    x = leaf(t, 1, 2)
    y = x * 2
    ints = t.tensor([1, 2])
    return errors(
        lambda: t.ones(1).backward(),
        lambda: ints.sum().backward(),
        lambda: x.detach().sum().backward(),
        lambda: t.autograd.backward([y.sum(), t.ones(1)]),
        lambda: t.autograd.grad(t.ones(1), x),
        lambda: t.autograd.grad(y.sum(), t.ones(2)),
        lambda: t.autograd.grad(y.sum(), [x, t.ones(2)]),
        lambda: t.autograd.grad([], x),
        lambda: t.autograd.grad(y.sum(), []),
    )


@program
def gradients_that_do_not_fit(t):
    x = leaf(t, 1, 2)
    y = x * 2
    return errors(
        lambda: y.backward(t.ones(3, dtype=t.float64)),
        lambda: y.backward(t.ones(2, 1, dtype=t.float64)),
        lambda: y.sum().backward(t.ones(1, dtype=t.float64)),
        lambda: y.backward(1.0),
        lambda: y.backward([1.0, 1.0]),
        lambda: y.backward("one"),
        lambda: t.autograd.backward([y, y], [t.ones(2)]),
        lambda: t.autograd.backward(y, [t.ones(2), t.ones(2)]),
        lambda: t.autograd.grad(y, x, t.ones(1)),
        lambda: t.autograd.grad([y, y], x, t.ones(2)),
        lambda: t.autograd.grad([y, y], x),
        lambda: y.backward(t.ones(2, dtype=t.complex128)),
        lambda: y.backward(t.ones(2, dtype=t.int64)),
    )


@program
def implicit_gradients(t):
    x = leaf(t, 1, 2)
    z = t.tensor([1 + 1j], dtype=t.complex128, requires_grad=True)
    empty = t.zeros(0, requires_grad=True)
    return errors(
        (x * 2).backward,
        (z * 2).backward,
        lambda: (z * 2).sum().backward(),
        (empty * 2).backward,
        lambda: t.autograd.grad(x * 2, x),
        (x[:1] * 2).backward,
        (x * 2).view(2, 1)[:1].backward,
    )


@program
def graphs_already_freed(t):
    x = leaf(t, 1, 2)

    def twice(y):
        y.backward()
        y.backward()

    def grad_twice(y):
        t.autograd.grad(y, x)
        t.autograd.grad(y, x)

    def through_a_shared_part():
        shared = x.exp()
        shared.sum().backward()
        (shared * 2).sum().backward()

    return errors(
        lambda: twice((x * x).sum()),
        lambda: twice(x.exp().sum()),
        lambda: twice((x / 2).sum()),
        lambda: twice((x + x).sum()),
        lambda: twice(x.sum()),
        lambda: grad_twice((x * x).sum()),
        lambda: grad_twice((x * 2).sum()),
        through_a_shared_part,
    )


@program
def inputs_of_backward(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = (y * y).sum()
    return errors(
        lambda: z.backward(inputs=[]),
        lambda: z.backward(inputs=[t.ones(2)], retain_graph=True),
        lambda: z.backward(inputs=y, retain_graph=True),
        lambda: z.backward(inputs=leaf(t, 3), retain_graph=True),
        lambda: z.backward(inputs=x, retain_graph=True),
        lambda: z.backward(x),
    )


@program
def unused_inputs(t):
    x, y = leaf(t, 1), leaf(t, 2)
    z = (x * 2).sum()
    return errors(
        lambda: t.autograd.grad(z, y, retain_graph=True),
        lambda: t.autograd.grad(z, [x, y], retain_graph=True),
        lambda: t.autograd.grad(z, [y, x], allow_unused=False, retain_graph=True),
        lambda: t.autograd.grad(z, y, allow_unused=True, retain_graph=True),
        lambda: t.autograd.grad(z, y, materialize_grads=True, retain_graph=True),
        lambda: t.autograd.grad(z, y, materialize_grads=True, allow_unused=False),
    )


@program
def requires_grad_of_what_cannot(t):
    x = leaf(t, 1, 2)
    y = x * 2
    ints = t.tensor([1, 2])
    return errors(
        lambda: t.tensor([1, 2], requires_grad=True),
        lambda: t.tensor([True], requires_grad=True),
        lambda: t.ones(2, dtype=t.int64, requires_grad=True),
        lambda: t.zeros(2, dtype=t.bool, requires_grad=True),
        lambda: t.arange(3, requires_grad=True),
        ints.requires_grad_,
        lambda: setattr(ints, "requires_grad", True),
        lambda: setattr(ints, "requires_grad", False),
        lambda: setattr(y, "requires_grad", False),
        lambda: setattr(y, "requires_grad", True),
        y.requires_grad_,
        lambda: y.requires_grad_(False),
        lambda: x.requires_grad_("yes"),
        lambda: setattr(x, "requires_grad", 1),
    )


@program
def leaves_written_in_place(t):
    x = leaf(t, 1, 2)
    p = t.nn.Parameter(t.ones(2))

    def item():
        x[0] = 1.0

    def iadd():
        nonlocal x
        x += 1

    def through_view():
        x.view(2, 1).mul_(2)

    def out():
        t.add(x.detach(), 1, out=x)

    return errors(
        x.zero_,
        lambda: x.fill_(1),
        lambda: x.copy_(t.ones(2)),
        lambda: x.clamp_(0, 1),
        lambda: x.mul_(2),
        x.normal_,
        x.uniform_,
        lambda: x.index_fill_(0, t.tensor([0]), 1.0),
        lambda: x.masked_fill_(x > 1, 0.0),
        lambda: t.nn.functional.relu(x, inplace=True),
        lambda: t.nn.init.ones_(x),
        lambda: p.add_(1),
        lambda: p.data.add_(1),
        item,
        iadd,
        through_view,
        out,
    )


@program
def saved_tensors_modified(t):
    def case(f, change):
        x = leaf(t, 1, 2)
        y = x * 2
        z = f(y)
        change(y, z)
        (z * 3).sum().backward()

    def add(y, z):
        y.add_(1)

    def add_output(y, z):
        z.add_(1)

    def item(y, z):
        y[0] = 5.0

    def twice(y, z):
        y.mul_(2).add_(1)

    def detached(y, z):
        y.detach().zero_()

    def copied(y, z):
        y.copy_(t.ones(2))

    def view(y, z):
        y.view(2, 1).sub_(1)

    def without_grad(y, z):
        with t.no_grad():
            y.zero_()

    return errors(
        lambda: case(lambda y: y * y, add),
        lambda: case(lambda y: y.exp(), add_output),
        lambda: case(lambda y: y.exp(), add),
        lambda: case(lambda y: y.sigmoid(), add_output),
        lambda: case(lambda y: y.sin(), item),
        lambda: case(lambda y: y.sin(), twice),
        lambda: case(lambda y: y.sin(), detached),
        lambda: case(lambda y: y.cos(), copied),
        lambda: case(lambda y: y.cos(), view),
        lambda: case(lambda y: y**2, without_grad),
        lambda: case(lambda y: y + y, add),
        lambda: case(lambda y: y.sum(), add),
        lambda: case(lambda y: y.relu(), add_output),
        lambda: case(lambda y: y.tanh(), add_output),
    )


@program
def views_written_in_place(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 1

    def under_no_grad():
        with t.no_grad():
            v = y[:2]
        v.mul_(2)

    def leaf_view_under_no_grad():
        with t.no_grad():
            v = x[:2]
        v.mul_(2)

    return errors(
        lambda: y.unbind(0)[0].mul_(2),
        lambda: y.split(2)[1].mul_(2),
        lambda: y.chunk(2)[0].add_(2),
        y.view(2, 2).unbind(1)[1].zero_,
        lambda: x[0].mul_(2),
        lambda: x.view(2, 2)[0].mul_(2),
        lambda: x.expand(2, 4).mul_(2),
        lambda: y[:1].expand(3).add_(1),
        y[0:2].detach_,
        under_no_grad,
        leaf_view_under_no_grad,
    )


@program
def calls_that_need_a_gradient(t):
    x = leaf(t, 1, 2)
    plain = t.ones(2)
    return errors(
        lambda: plain.register_hook(print),
        plain.retain_grad,
        x.retain_grad,
        lambda: plain.register_post_accumulate_grad_hook(print),
        lambda: (x * 2).register_post_accumulate_grad_hook(print),
        x.numpy,
        (x * 2).numpy,
        (x * 2).tolist,
        lambda: t.tensor([1.0]).numpy(),
        x.__array__,
    )


@program
def assigned_gradients(t):
    x = leaf(t, 1, 2)
    return errors(
        lambda: setattr(x, "grad", t.ones(3, dtype=t.float64)),
        lambda: setattr(x, "grad", t.ones(2)),
        lambda: setattr(x, "grad", t.ones(2, dtype=t.int64)),
        lambda: setattr(x, "grad", 3),
        lambda: setattr(x, "grad", x),
        lambda: setattr(x, "grad", None),
        lambda: setattr(x, "data", 3),
        lambda: setattr(x, "data", t.tensor([1, 2])),
        lambda: setattr(x, "data", t.ones(5, dtype=t.float64)),
    )


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
