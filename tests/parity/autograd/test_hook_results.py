"""Hooks that replace, refuse, remove, and run in order, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def what_tensor_hooks_may_return(t):
    def case(hook, on_leaf=True):
        x = leaf(t, 1, 2)
        y = x * 3
        (x if on_leaf else y).register_hook(hook)
        y.sum().backward()
        return x.grad

    return errors(
        lambda: case(lambda g: g[:1]),
        lambda: case(lambda g: g.float()),
        lambda: case(lambda g: 3.0),
        lambda: case(lambda g: [g]),
        lambda: case(lambda g: g.expand(3, 2)),
        lambda: case(lambda g: None),
        lambda: case(lambda: None),
        lambda: case(lambda g: g[:1], False),
        lambda: case(lambda g: (g,), False),
        lambda: case(lambda g: 1 / 0, False),
    )


@program
def what_node_hooks_may_return(t):
    def case(hook, pre=False):
        x, z = leaf(t, 1, 2), leaf(t, 3, 4)
        y = x * z
        (y.grad_fn.register_prehook if pre else y.grad_fn.register_hook)(hook)
        y.sum().backward()
        return x.grad

    return errors(
        lambda: case(lambda gi, go: gi[0]),
        lambda: case(lambda gi, go: (gi[0],)),
        lambda: case(lambda gi, go: (gi[0], gi[1], gi[1])),
        lambda: case(lambda gi, go: (gi[0], 3)),
        lambda: case(lambda gi, go: (gi[0][:1], gi[1])),
        lambda: case(lambda gi, go: None),
        lambda: case(lambda go: (go[0], go[0]), True),
        lambda: case(lambda go: 3, True),
    )


@program
def several_gradients_meet_before_the_hook(t):
    log = []
    x = leaf(t, 1, 2)
    y = x * 2
    y.register_hook(lambda g: log.append(g.tolist()))
    x.register_hook(lambda g: log.append(("x", g.tolist())))
    (y * 3 + y.sin() * 0).sum().backward()
    (y.detach() * x).sum().backward()
    return log


@program
def hooks_and_create_graph(t):
    x = leaf(t, 1, 2)
    y = x**2
    seen = []
    y.register_hook(lambda g: seen.append(g.requires_grad) or g * x)
    (g,) = t.autograd.grad((y**2).sum(), x, create_graph=True)
    return seen, g, t.autograd.grad(g.sum(), x)


@program
def removing(t):
    log = []
    x = leaf(t, 1, 2)
    first = x.register_hook(lambda g: log.append(1))
    second = x.register_hook(lambda g: log.append(2))
    with x.register_hook(lambda g: log.append(3)):
        x.sum().backward()
    first.remove()
    first.remove()
    x.sum().backward()
    second.remove()
    x.sum().backward()
    return log, x.grad


@program
def hooks_that_remove_themselves(t):
    log = []
    x = leaf(t, 1, 2)

    def once(g):
        log.append("once")
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: log.append("always"))
    x.sum().backward()
    x.sum().backward()
    return log


@program
def after_accumulation(t):
    log = []
    x = leaf(t, 1, 2)

    def step(p):
        log.append(p.grad.tolist())
        with t.no_grad():
            p.sub_(p.grad)
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    (x * x).sum().backward()
    t.autograd.grad((x * 3).sum(), x)
    handle.remove()
    (x * 2).sum().backward()
    return (
        log,
        x.detach(),
        x.grad,
        errors(
            lambda: x.register_post_accumulate_grad_hook(lambda p: 3) and (x * 2).sum().backward()
        ),
    )


@program
def hooks_survive_in_place_changes(t):
    log = []
    x = leaf(t, 1, 2)
    y = x * 2
    y.register_hook(lambda g: log.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: log.append(("after", g.tolist())))
    y.retain_grad()
    y.sum().backward()
    return log, y.grad, x.grad


@program
def retained_before_an_in_place_change(t):
    x = leaf(t, 1, 2)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    return y.grad, y.retains_grad


@program
def retained_gradients(t):
    x = leaf(t, 1, 2)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    z = y.sum()
    z.backward(retain_graph=True)
    first = y.grad.clone()
    z.backward(retain_graph=True)
    second = y.grad.clone()
    y.grad = None
    t.autograd.grad(z, x)
    return first, second, y.grad, x.retains_grad


@program
def hooks_on_views_and_unused(t):
    log = []
    x = leaf(t, 1, 2, 3)
    y = x * 2
    v = y[1:]
    v.register_hook(lambda g: log.append(("v", g.tolist())))
    y.register_hook(lambda g: log.append(("y", g.tolist())))
    unused = x * 5
    unused.register_hook(lambda g: log.append("unused"))
    v.sum().backward()
    return log


@program
def hook_arguments(t):
    x = leaf(t, 1)
    plain = t.ones(1)
    x.requires_grad_(False)
    return errors(
        lambda: x.register_hook(print),
        lambda: plain.register_hook(None),
        lambda: leaf(t, 1).register_hook(None),
        lambda: leaf(t, 1).register_hook(3).remove(),
    )


@program
def gradient_layout_and_identity(t):
    x = leaf(t, 1, 2)
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    same = first is x.grad
    x.grad.zero_()
    x.grad = t.ones(2, dtype=t.float64)
    x.sum().backward()
    return same, x.grad, x.grad.requires_grad, x.grad.is_leaf, x.grad.grad_fn


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
