"""Users' own operations, under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.parity.autograd.harness import Programs, errors, leaf

pytestmark = pytest.mark.parity
program = Programs()


@program
def function_basic(t):
    class Cube(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x)
            ctx.k = k
            return k * x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * ctx.k * g * x * x, None

    x = leaf(t, 1, 2)
    y = Cube.apply(x, 2)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x)
    return y, g, h, y.grad_fn.name(), ctx_of(y)


def ctx_of(y):
    return y.grad_fn.needs_input_grad


@program
def function_with_setup_context(t):
    class Product(t.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

    x, y = leaf(t, 2), leaf(t, 3)
    Product.apply(x, y).sum().backward()
    return x.grad, y.grad


@program
def function_saves_output(t):
    class Exp(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    x = leaf(t, 0.5)
    (g,) = t.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
    return g, t.autograd.grad(g.sum(), x)


@program
def function_marks_dirty(t):
    class Double(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(t, 1, 2)
    y = x * 3
    z = Double.apply(y)
    z.sum().backward()
    return z is y, x.grad, y._version, errors(lambda: Double.apply(x))


@program
def function_non_differentiable_and_unused(t):
    class Sort(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            values, order = x.sort()
            ctx.mark_non_differentiable(order)
            ctx.save_for_backward(order)
            return values, order, x * 2

        @staticmethod
        def backward(ctx, g, _, unused):
            (order,) = ctx.saved_tensors
            out = t.zeros_like(g)
            out[order] = g
            return out + unused

    x = leaf(t, 3, 1, 2)
    values, order, _ = Sort.apply(x)
    (values * t.tensor([1.0, 2.0, 3.0], dtype=t.float64)).sum().backward()
    return order.requires_grad, x.grad


@program
def function_without_materialized_grads(t):
    seen = []

    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            seen.append((a is None, b is None))
            return b * 2

    x = leaf(t, 1)
    Two.apply(x)[1].sum().backward()
    return seen, x.grad


@program
def function_once_differentiable(t):
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @t.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(t, 2)
    y = Square.apply(x).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    return g.detach(), errors(lambda: g.sum().backward())


@program
def function_wrong_number_of_gradients(t):
    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    x, y = leaf(t, 1), leaf(t, 2)
    Two.apply(x, y).sum().backward()


@program
def function_returns_input(t):
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = leaf(t, 1, 2)
    y = Same.apply(x)
    y.sum().backward()
    return y is x, y.grad_fn is None, x.grad


@program
def function_saved_tensor_modified(t):
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(t, 1)
    y = x * 1
    z = Square.apply(y)
    y.add_(1)
    z.sum().backward()


@program
def function_without_gradients(t):
    class Square(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

    x = leaf(t, 1)
    return Square.apply(t.ones(1)), errors(lambda: Square.apply(x).sum().backward())


@program
def saved_tensors_hooks(t):
    x = leaf(t, 1, 2)
    log = []

    def pack(tensor):
        log.append("pack")
        return tensor.tolist()

    def unpack(values):
        log.append("unpack")
        return t.tensor(values, dtype=t.float64)

    with t.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x.sin()
    y.sum().backward()
    return log, x.grad


@program
def anomaly_mode(t):
    with t.autograd.set_detect_anomaly(True):
        x = leaf(t, -1)
        y = (x.sqrt() * 0).sum()
        y.backward()


@program
def assigned_grads(t):
    x = leaf(t, 1, 2)
    x.grad = t.ones(2, dtype=t.float64)
    (x * 2).sum().backward()
    return x.grad, errors(
        lambda: setattr(x, "grad", t.ones(3, dtype=t.float64)),
        lambda: setattr(x, "grad", t.ones(2)),
        lambda: setattr(x, "grad", 3),
        lambda: setattr(x, "grad", x),
    )


@program
def deepcopy_and_requires_grad(t):
    import copy

    x = leaf(t, 1, 2)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    return y, y.grad, y.is_leaf, errors(lambda: copy.deepcopy(x * 2))


@program
def clone_and_detach(t):
    x = leaf(t, 1, 2)
    y, z = x.clone(), x.detach()
    z[0] = 7.0
    (y * 2).sum().backward()
    return x.detach(), y.detach(), x.grad, z.requires_grad


@program
def complex_gradients(t):
    z = t.tensor([1 + 2j, 0.5 - 1j], dtype=t.complex128, requires_grad=True)
    w = (z * z.conj() + z**2 / 2).real.sum() + z.exp().imag.sum() + z.abs().sum()
    w.backward()
    return z.grad, errors(lambda: (z * 1).sum().backward())


@pytest.mark.parametrize("function", program, ids=lambda f: f.__name__)
def test_as_in_pytorch(function):
    program.check(function)
