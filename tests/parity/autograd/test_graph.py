"""`autograd.graph`: nodes, edges, hooks on saved tensors and on several gradients."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


def identity(x):
    return x


@program
def what_pack_hooks_see(t):
    seen = []

    def pack(x):
        seen.append((x.tolist(), x.requires_grad, t.is_grad_enabled()))
        return x

    x = leaf(t, 1, 2)
    with t.autograd.graph.saved_tensors_hooks(pack, identity):
        y = (x * 3).exp() * x
    y.sum().backward()
    return sorted(seen), x.grad


@program
def hooks_of_functions(t):
    log = []

    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y, None)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y, nothing = ctx.saved_tensors
            log.append((x.tolist(), y.tolist(), nothing))
            return 2 * g * x

    def pack(x):
        log.append("pack")
        return x.tolist()

    def unpack(values):
        log.append("unpack")
        return t.tensor(values, dtype=t.float64)

    x = leaf(t, 1, 2)
    with t.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = Square.apply(x)
    y.sum().backward()
    return log, x.grad


@program
def nested_hooks(t):
    log = []
    hooks = t.autograd.graph.saved_tensors_hooks

    def noting(name):
        return hooks(lambda x: log.append(name) or x, identity)

    x = leaf(t, 1, 2)
    with noting("outer"):
        a = x.sin()
        with noting("inner"):
            b = a.sin()
        c = b.sin()
    d = c.sin()
    d.sum().backward()
    return log, x.grad


@program
def second_derivatives_through_hooks(t):
    x = leaf(t, 0.3, 0.6)
    with t.autograd.graph.saved_tensors_hooks(lambda x: x * 1, identity):
        y = (x**3).sum()
        (g,) = t.autograd.grad(y, x, create_graph=True)
    return g, t.autograd.grad(g.sum(), x)


@program
def saving_on_the_cpu(t):
    x = leaf(t, 1, 2)
    with t.autograd.graph.save_on_cpu():
        y = (x.exp() * x).sum()
    y.backward()
    return x.grad


@program
def bad_hooks(t):
    x = leaf(t, 1, 2)
    hooks = t.autograd.graph.saved_tensors_hooks

    def run(pack, unpack):
        with hooks(pack, unpack):
            y = x.sin()
        y.sum().backward()

    def fail(x):
        raise ValueError("mine")

    def disabled():
        with t.autograd.graph.disable_saved_tensors_hooks("not here"):
            with hooks(identity, identity):
                pass

    def disabled_inside():
        with hooks(identity, identity):
            with t.autograd.graph.disable_saved_tensors_hooks("not here"):
                pass

    return errors(
        lambda: run(identity, lambda x: 3),
        lambda: run(identity, lambda x: None),
        lambda: run(lambda x: x.add_(1), identity),
        lambda: run(fail, identity),
        lambda: run(identity, fail),
        lambda: run(lambda: 1, identity),
        disabled,
        disabled_inside,
    )


@program
def mutation_allowed(t):
    x = leaf(t, 1, 2)
    allow = t.autograd.graph.allow_mutation_on_saved_tensors

    def nested():
        with allow():
            with allow():
                pass

    with allow():
        y = x * 2
        z = y.sin()
        y.zero_()
        z.sum().backward()
    return x.grad, errors(nested)


@program
def edges_in_place_of_tensors(t):
    graph = t.autograd.graph
    x = leaf(t, 1, 2)
    y = x * 3
    edge = graph.get_gradient_edge(y)
    z = (y * y).sum()
    leaf_edge = graph.get_gradient_edge(x)
    first = t.autograd.grad(z, edge, retain_graph=True)
    second = t.autograd.grad(z, [x, leaf_edge], retain_graph=True)
    through = t.autograd.grad(edge, x, t.ones(2, dtype=t.float64), retain_graph=True)
    t.autograd.backward(graph.get_gradient_edge(z), retain_graph=True)
    return (
        (edge.node.name(), edge.output_nr, leaf_edge.node.name()),
        first,
        second,
        through,
        x.grad,
        errors(
            lambda: graph.get_gradient_edge(t.ones(2)),
            lambda: t.autograd.grad(edge, x),
            lambda: t.autograd.grad(edge, x, t.ones(3)),
        ),
    )


@program
def hooks_on_several_gradients(t):
    log = []
    graph = t.autograd.graph
    x, y, z = leaf(t, 1), leaf(t, 2), leaf(t, 3)

    def note(grads):
        log.append([None if g is None else g.tolist() for g in grads])

    handle = graph.register_multi_grad_hook((x, y, z), note)
    graph.register_multi_grad_hook([x, y], lambda g: log.append(g.tolist()), mode="any")
    (x * y * z).sum().backward()
    (x * y).sum().backward()
    (x * x).sum().backward()
    (x * y).sum().backward(inputs=[x])
    handle.remove()
    (x * y * z).sum().backward()
    return log, errors(lambda: graph.register_multi_grad_hook((x,), note, mode="some"))


@program
def nodes(t):
    x = leaf(t, 1, 2)
    y = x.exp()
    z = (y * x).sum()
    node = z.grad_fn
    node.metadata["note"] = 3
    chain = []
    while node is not None:
        chain.append((node.name(), len(node.next_functions)))
        node = node.next_functions[0][0] if node.next_functions else None
    accumulate = y.grad_fn.next_functions[0][0]
    return (
        chain,
        z.grad_fn.metadata,
        z.grad_fn is z.grad_fn,
        accumulate.variable is x,
        isinstance(z.grad_fn, t.autograd.graph.Node),
        isinstance(accumulate, t.autograd.graph.Node),
        y.output_nr,
        (x * 2).grad_fn.next_functions[1],
        [u.output_nr for u in y.unbind(0)],
    )


@program
def node_hooks(t):
    log = []
    x = leaf(t, 1, 2)
    y = x * 3
    first = y.grad_fn.register_hook(lambda gi, go: log.append((len(gi), len(go))))
    y.grad_fn.register_prehook(lambda go: log.append("before"))
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, None))
    sink = (x * 1).grad_fn.next_functions[0][0]
    sink.register_prehook(lambda g: (g[0] + 1,))
    sink.register_hook(lambda gi, go: log.append(("sink", len(gi), go[0].tolist())))
    y.sum().backward(retain_graph=True)
    first.remove()
    y.sum().backward()
    return log, x.grad


@program
def versions_incremented_by_hand(t):
    x = t.ones(2)
    t.autograd.graph.increment_version(x)
    t.autograd.graph.increment_version([x, x])
    y = leaf(t, 1, 2) * 1
    z = y.sin()
    t.autograd.graph.increment_version(y)
    return x._version, errors(lambda: z.sum().backward())


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
