"""`utils.checkpoint`, under PyTorch and here: what is computed, how often, and what is refused."""

from __future__ import annotations

import contextlib

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


def counted(t, log):
    def block(x, w):
        log.append((t.is_grad_enabled(), x.requires_grad))
        return ((x @ w).sin() * x).exp()

    return block


@program
def both_variants(t):
    results = []
    for reentrant in (True, False):
        log = []
        x, w = leaf(t, 0.1, 0.2), leaf(t, 0.3, 0.4)
        w = t.stack([w, w]).detach().requires_grad_()
        y = t.utils.checkpoint.checkpoint(counted(t, log), x * 1, w, use_reentrant=reentrant)
        y.sum().backward()
        results.append([log, y.detach(), x.grad, w.grad])
    return results


@program
def without_reentrance_everything_works(t):
    log = []
    checkpoint = t.utils.checkpoint.checkpoint

    def block(x, *, scale):
        log.append(1)
        return {"y": (x * scale).sin() * x, "n": 3}

    x = leaf(t, 0.1, 0.2)
    y = checkpoint(block, x, scale=2.0, use_reentrant=False)["y"].sum()
    (g,) = t.autograd.grad(y, x, retain_graph=True)
    y.backward(inputs=[x], retain_graph=True)
    y.backward()
    (h,) = t.autograd.grad(checkpoint(block, x, scale=2.0, use_reentrant=False)["y"].sum(), x)
    return len(log), g, x.grad, h


@program
def second_derivatives(t):
    x = leaf(t, 0.1, 0.2)
    y = t.utils.checkpoint.checkpoint(lambda x: (x**3).sin(), x, use_reentrant=False).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    return g, t.autograd.grad(g.sum(), x)


@program
def nested(t):
    log = []
    checkpoint = t.utils.checkpoint.checkpoint

    def inner(x):
        log.append("inner")
        return x.sin().exp()

    def outer(x):
        log.append("outer")
        y = checkpoint(inner, x * 2, use_reentrant=False)
        return checkpoint(inner, y, use_reentrant=False) * x

    x = leaf(t, 0.1, 0.2)
    checkpoint(outer, x, use_reentrant=False).sum().backward()
    return "outer" in log, x.grad


@program
def random_numbers(t):
    results = []
    checkpoint = t.utils.checkpoint.checkpoint
    for reentrant in (True, False):
        t.manual_seed(3)
        x = leaf(t, 1, 2, 3, 4, 5, 6)
        y = checkpoint(lambda x: t.dropout(x, 0.5, True) * x, x, use_reentrant=reentrant)
        after = t.rand(2)
        y.sum().backward()
        results.append([y.detach(), x.grad, after, t.rand(2)])
    return results


@program
def sequences(t):
    layers = t.nn.Sequential(*[t.nn.Linear(3, 3) for _ in range(4)]).double()
    for k, p in enumerate(layers.parameters()):
        t.nn.init.constant_(p, 0.1 * k)
    results = []
    for reentrant in (True, False):
        x = leaf(t, 1, 2, 3)
        layers.zero_grad()
        sequential = t.utils.checkpoint.checkpoint_sequential
        y = sequential(layers, 3, x, use_reentrant=reentrant)
        y.sum().backward()
        results.append([y.detach(), x.grad, layers[0].weight.grad, layers[3].bias.grad])
    functions = [t.sin, t.cos, t.exp]
    x = leaf(t, 1, 2)
    t.utils.checkpoint.checkpoint_sequential(functions, 2, x, use_reentrant=False).sum().backward()
    return results, x.grad


@program
def contexts(t):
    log = []

    @contextlib.contextmanager
    def note(name):
        log.append(name)
        yield

    x = leaf(t, 1, 2)
    y = t.utils.checkpoint.checkpoint(
        t.sin, x, use_reentrant=False, context_fn=lambda: (note("first"), note("second"))
    )
    y.sum().backward()
    return log, x.grad


@program
def different_second_runs(t):
    checkpoint = t.utils.checkpoint.checkpoint

    def run(steps, **options):
        todo = list(steps)
        x = leaf(t, 1, 2)
        checkpoint(todo.pop(0), x, use_reentrant=False, **options).sum().backward()
        return x.grad

    def one(x):
        return x.sin()

    def two(x):
        return x.sin().sin()

    def wide(x):
        return x.repeat(2).sin()

    return (
        errors(
            lambda: run([two, one]),
            lambda: run([one, two], early_stop=False),
            lambda: run([one, wide]),
        ),
        run([one, two]),
    )


@program
def early_stop(t):
    log = []

    def block(x):
        log.append("start")
        y = x.sin()
        log.append("end")
        return y

    x = leaf(t, 1, 2)
    checkpoint = t.utils.checkpoint.checkpoint
    checkpoint(block, x, use_reentrant=False).sum().backward()
    checkpoint(block, x, use_reentrant=False, early_stop=False).sum().backward()
    with t.utils.checkpoint.set_checkpoint_early_stop(False):
        y = checkpoint(block, x, use_reentrant=False)
    y.sum().backward()
    return log, x.grad


@program
def refused(t):
    x = leaf(t, 1, 2)
    c = t.utils.checkpoint

    def reentrant(f=t.sin):
        return c.checkpoint(f, x, use_reentrant=True).sum()

    return errors(
        lambda: c.checkpoint(t.sin, x, use_reentrant=True, dim=3),
        lambda: c.checkpoint(t.sin, x, use_reentrant=True, context_fn=lambda: None),
        lambda: c.checkpoint(t.sin, x, use_reentrant=False, determinism_check="maybe"),
        lambda: c.checkpoint_sequential([t.sin], 1, x, use_reentrant=True, foo=1),
        lambda: t.autograd.grad(reentrant(), x),
        lambda: reentrant().backward(inputs=[x]),
        lambda: reentrant(lambda x: x.detach()).backward(),
        lambda: c.detach_variable([x]),
    )


@program
def precision(t):
    results = []
    for reentrant in (True, False):
        seen = []

        def block(x, seen=seen):
            y = x @ x.t()
            seen.append((str(y.dtype), t.is_autocast_enabled("cpu")))
            return y.float()

        x = t.ones(2, 2, requires_grad=True)
        with t.autocast("cpu", dtype=t.bfloat16):
            y = t.utils.checkpoint.checkpoint(block, x, use_reentrant=reentrant)
        y.sum().backward()
        results.append([seen, x.grad])
    return results


@program
def tickets_seen_by_functions(t):
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, _ = ctx.saved_tensors
            return 2 * g * x

    x = leaf(t, 1, 2)
    checkpoint = t.utils.checkpoint.checkpoint
    y = checkpoint(lambda x: Square.apply(x.sin()).exp(), x, use_reentrant=False).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    return g, t.autograd.grad(g.sum(), x)


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
