"""What else `Function` can do: contexts, marks, refusals, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


def function(t, forward, backward=None, **extra):
    """A Function class of these static methods."""
    members = {"forward": staticmethod(forward), **{k: staticmethod(v) for k, v in extra.items()}}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("Made", (t.autograd.Function,), members)


def double(ctx, x):
    return x * 2


@program
def contexts_keep_what_they_are_given(t):
    seen = []

    def forward(ctx, x, *rest, **named):
        ctx.numbers = (len(rest), sorted(named))
        ctx.save_for_backward(x, None)
        seen.append(ctx.needs_input_grad)
        return x * 1

    def backward(ctx, g):
        seen.append((ctx.numbers, ctx.saved_tensors[1], len(ctx.saved_tensors)))
        seen.append(ctx.needs_input_grad)
        return g, None, None

    x = leaf(t, 1, 2)
    y = function(t, forward, backward).apply(x, 1, "a")
    y.sum().backward(retain_graph=True)
    return seen, x.grad, type(y.grad_fn).__name__, y.grad_fn.name(), y.grad_fn.saved_tensors


@program
def saved_tensors_freed_and_counted(t):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]

    x = leaf(t, 1, 2)
    square = function(t, forward, backward).apply
    y = square(x)
    y.sum().backward()
    z = square(x)
    z.sum().backward(retain_graph=True)
    z.sum().backward()
    return x.grad, errors(lambda: y.sum().backward(), lambda: y.grad_fn.saved_tensors)


@program
def wrong_gradients(t):
    x, y = leaf(t, 1, 2), leaf(t, 3, 4)

    def case(backward, *args):
        function(t, lambda ctx, *a: a[0] * 2, backward).apply(*args).sum().backward()

    return errors(
        lambda: case(lambda ctx, g: None, x),
        lambda: case(lambda ctx, g: (g, g), x),
        lambda: case(lambda ctx, g: (g, None, None), x),
        lambda: case(lambda ctx, g: g, x, y),
        lambda: case(lambda ctx, g: (g, g), x, 3),
        lambda: case(lambda ctx, g: g[:1], x),
        lambda: case(lambda ctx, g: g.expand(3, 2), x),
        lambda: case(lambda ctx, g: t.ones(3, dtype=t.float64), x),
        lambda: case(lambda ctx, g: 3.0, x),
        lambda: case(lambda ctx, g: "g", x),
        lambda: case(lambda ctx, g: [g], x),
        lambda: case(lambda ctx, g: g.float(), x),
        lambda: case(lambda ctx, g: 1 / 0, x),
    )


@program
def wrong_forwards(t):
    x = leaf(t, 1, 2)

    def dirty(ctx, x):
        ctx.mark_dirty(x)
        return x * 2

    def dirty_output(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y

    def plain_marked(ctx, x):
        ctx.mark_non_differentiable(x)
        return x * 2

    def pass_through(ctx, g):
        return g

    made = [function(t, f, pass_through).apply for f in (dirty, dirty_output, plain_marked)]
    return errors(
        lambda: made[0](x * 1),
        lambda: made[0](x),
        lambda: made[1](x * 1),
        lambda: made[2](x),
        lambda: function(t, lambda ctx, x: 3, pass_through).apply(x),
        lambda: function(t, lambda ctx, x: None, pass_through).apply(x),
        lambda: function(t, lambda ctx, x: (x * 2, 3), lambda ctx, g, n: g).apply(x),
        lambda: function(t, lambda ctx, x: (x * 2, None), lambda ctx, g, n: g).apply(x)[1],
        lambda: function(t, lambda ctx, x: [x * 2, x], pass_through).apply(x),
        lambda: function(t, lambda x: x * 2, pass_through).apply(x),
        lambda: t.autograd.Function.apply(x),
        lambda: type("Empty", (t.autograd.Function,), {}).apply(x),
    )


@program
def non_tensor_outputs(t):
    def forward(ctx, x):
        return x * 2, 7, "text", None

    def backward(ctx, *grads):
        assert len(grads) == 4
        return grads[0] * 2

    x = leaf(t, 1, 2)
    y = function(t, forward, backward).apply(x)
    y[0].sum().backward()
    return y[1:], x.grad


@program
def two_outputs_two_inputs(t):
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, x + y

    def backward(ctx, gm, ga):
        x, y = ctx.saved_tensors
        return gm * y + ga, gm * x + ga

    x, y = leaf(t, 1, 2), leaf(t, 3, 4)
    product, total = function(t, forward, backward).apply(x, y)
    (product.sum() + 2 * total.sum()).backward()
    only = function(t, forward, backward).apply(x.detach(), y)[1]
    return x.grad, y.grad, only.grad_fn.needs_input_grad, only.requires_grad


@program
def setup_context_forms(t):
    seen = []

    def forward(x, k):
        return x * k, x.argmax()

    def setup_context(ctx, inputs, output):
        _, k = inputs
        ctx.k = k
        ctx.mark_non_differentiable(output[1])
        seen.append((len(inputs), len(output)))

    def backward(ctx, g, _):
        return g * ctx.k, None

    x = leaf(t, 1, 2)
    made = function(t, forward, backward, setup_context=setup_context)
    y, position = made.apply(x, 3)
    y.sum().backward()
    return seen, x.grad, position.requires_grad, y.grad_fn.needs_input_grad


@program
def vjp_instead_of_backward(t):
    def vjp(ctx, g):
        return g * 5

    x = leaf(t, 1, 2)
    function(t, double, vjp=vjp).apply(x).sum().backward()
    return x.grad, errors(
        lambda: function(t, double, lambda ctx, g: g, vjp=vjp).apply(x).sum().backward()
    )


@program
def second_derivatives(t):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y

    def backward(ctx, g):
        _, y = ctx.saved_tensors
        return g * y

    x = leaf(t, 0.3, 0.6)
    exp = function(t, forward, backward).apply
    (g,) = t.autograd.grad(exp(x).sum(), x, create_graph=True)
    (h,) = t.autograd.grad((g * g).sum(), x, create_graph=True)
    return g, h, t.autograd.grad(h.sum(), x), t.autograd.gradcheck(exp, x)


@program
def inplace_functions(t):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3)

    def backward(ctx, g):
        return g * 3

    triple = function(t, forward, backward).apply
    x = leaf(t, 1, 2)
    y = x * 2
    z = triple(y)
    first = (z is y, y.grad_fn is z.grad_fn, y._version)
    z.sum().backward()
    v = (x * 2)[:1]
    base = x * 2
    view = base[1:]
    return (
        first,
        x.grad,
        errors(lambda: triple(x), lambda: triple(v).sum().backward()),
        triple(view).detach(),
        base.detach(),
        errors(lambda: base.sum().backward()),
        x.grad,
    )


@program
def materialized_gradients(t):
    seen = []

    def forward(ctx, x):
        return x * 2, x.sum(), x.argmax()

    def backward(ctx, a, b, c):
        seen.append([None if g is None else (tuple(g.shape), str(g.dtype)) for g in (a, b, c)])
        return a * 2

    x = leaf(t, 1, 2)
    function(t, forward, backward).apply(x)[1].backward()
    return seen, x.grad


@program
def once_differentiable(t):
    def backward(ctx, g):
        return g * 2

    once = t.autograd.function.once_differentiable(backward)
    x = leaf(t, 1, 2)
    y = function(t, double, once).apply(x).sum()
    y.backward(retain_graph=True)
    (g,) = t.autograd.grad(y, x, create_graph=True)
    return x.grad, g.requires_grad, errors(lambda: g.sum().backward())


@program
def forward_runs_unrecorded(t):
    seen = []

    def forward(ctx, x):
        y = x * 2
        seen.append((t.is_grad_enabled(), y.requires_grad, x.requires_grad))
        with t.enable_grad():
            seen.append((x * 2).requires_grad)
        return y

    x = leaf(t, 1, 2)
    made = function(t, forward, lambda ctx, g: g)
    y = made.apply(x)
    with t.no_grad():
        z = made.apply(x)
    return seen, y.requires_grad, z.requires_grad, made.apply(x.detach()).requires_grad


@program
def recomputing_inside_backward(t):
    """What checkpointing does: a sweep inside a sweep."""

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with t.enable_grad():
            again = x.detach().requires_grad_()
            t.autograd.backward(again.sin(), g)
        return again.grad

    x = leaf(t, 0.5, 1.0)
    function(t, forward, backward).apply(x * 2).sum().backward()
    return x.grad


@program
def hooks_on_a_function(t):
    log = []
    x = leaf(t, 1, 2)
    y = function(t, double, lambda ctx, g: g * 2).apply(x)
    y.register_hook(lambda g: g * 10)
    y.grad_fn.register_hook(lambda gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    y.sum().backward()
    return log, x.grad


@program
def integers_and_masks(t):
    x = leaf(t, 1, 2)
    made = function(t, lambda ctx, x: (x > 1, x.long(), x * 2), lambda ctx, a, b, g: g * 2)
    mask, whole, y = made.apply(x)
    y.sum().backward()
    return mask.requires_grad, whole.requires_grad, y.requires_grad, x.grad


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
