"""Small programs about autograd, run under PyTorch and here: same values, same errors and texts.

A program takes the module (`torch` or `disttorch`) and returns numbers, tensors and strings in any
nesting; an exception is part of the result.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import disttorch

pytestmark = pytest.mark.parity
PROGRAMS: list[Callable[[Any], Any]] = []


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS.append(function)
    return function


@pytest.fixture(scope="module")
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_program_behaves_as_in_pytorch(torch, function):
    compare(outcome(function, disttorch), outcome(function, torch))


def outcome(function: Callable[[Any], Any], module: Any) -> Any:
    """The result of a program as nested lists, or its exception's type and text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(module)
        except Exception as error:
            result = [type(error).__name__, normal(str(error))]
    return plain(result)


def normal(text: str) -> str:
    """An error's text without what may differ: addresses, module names, notes in later lines."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text).replace("disttorch.", "torch.")
    return " ".join(text.split("\n")[0].split())


def plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "detach"):
        return [str(value.dtype), value.requires_grad, np.asarray(value.detach().numpy())]
    return value


def compare(actual: Any, wanted: Any) -> None:
    if isinstance(wanted, np.ndarray):
        assert actual.shape == wanted.shape
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    elif isinstance(wanted, list):
        assert isinstance(actual, list), (actual, wanted)
        assert len(actual) == len(wanted), (actual, wanted)
        for a, w in zip(actual, wanted, strict=True):
            compare(a, w)
    else:
        assert actual == wanted


def leaf(t, *values, dtype=None):
    return t.tensor(values, dtype=dtype or t.float64, requires_grad=True)


def errors(*calls: Callable[[], Any]) -> list[Any]:
    """What each call raises, or "no error"."""
    found = []
    for call in calls:
        try:
            call()
            found.append("no error")
        except Exception as error:
            found.append([type(error).__name__, normal(str(error))])
    return found


# ---- accumulation and the sweep -------------------------------------------------------------


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


# ---- hooks ------------------------------------------------------------------------------------


@program
def hooks_run_in_order_and_replace(t):
    x = leaf(t, 1, 2)
    log = []
    y = x * 3
    y.register_hook(lambda g: log.append(("first", g.tolist())) or g * 2)
    y.register_hook(lambda g: log.append(("second", g.tolist())))
    handle = y.register_hook(lambda g: log.append("removed"))
    handle.remove()
    x.register_hook(lambda g: log.append(("leaf", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("after", p.grad.tolist())))
    y.sum().backward()
    return log, x.grad


@program
def retain_grad_sees_hooks(t):
    x = leaf(t, 1, 2)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    return y.grad, x.grad, y.retains_grad, x.retains_grad


@program
def node_hooks(t):
    x = leaf(t, 1, 2)
    y = x * 3
    log = []
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 2,))
    y.grad_fn.register_hook(lambda gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    y.sum().backward()
    return log, x.grad


@program
def non_leaf_grad_warns(t):
    x = leaf(t, 1)
    y = x * 2
    y.sum().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        grad = y.grad
    return grad, [w.category.__name__ for w in caught], normal(str(caught[0].message))[:300]


@program
def graph_names(t):
    x = leaf(t, 1, 2)
    y = x.exp().sum()
    node = y.grad_fn
    below = node.next_functions[0][0]
    leaf_node = below.next_functions[0][0]
    return node.name(), below.name(), type(leaf_node).__name__, x.is_leaf, y.is_leaf


# ---- views and in-place -----------------------------------------------------------------------


def both_grads(t, x, y):
    (y * y).sum().backward()
    return x.grad, y.detach()


@program
def inplace_on_non_leaf(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    y.mul_(3).add_(1)
    return both_grads(t, x, y)


@program
def inplace_on_view(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    y[1:].mul_(3)
    return both_grads(t, x, y)


@program
def inplace_on_base_changes_view(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    v = y.view(2, 2)
    y.mul_(5)
    return both_grads(t, x, v)


@program
def inplace_on_view_of_view(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    y.view(2, 2)[0].t().unsqueeze(0).exp_()
    return both_grads(t, x, y)


@program
def inplace_through_transpose(t):
    x = leaf(t, 1, 2, 3, 4, 5, 6)
    y = (x * 2).view(2, 3)
    y.t()[1].mul_(x[:2])
    return both_grads(t, x, y)


@program
def inplace_twice_on_overlapping_views(t):
    x = leaf(t, 1, 2, 3, 4)
    y = x * 2
    a, b = y[:3], y[1:]
    a.mul_(2)
    b.add_(a[0])
    return both_grads(t, x, y), a.detach(), b.detach()


@program
def view_made_before_write_uses_new_history(t):
    x = leaf(t, 1, 2, 3)
    y = x * 2
    v = y[1:]
    y[2] = 7.0
    (v * 3).sum().backward()
    return x.grad


@program
def write_with_gradient(t):
    x, w = leaf(t, 1, 2, 3), leaf(t, 5)
    y = x * 2
    y[1:2] = w
    return both_grads(t, x, y), w.grad


@program
def write_into_plain_tensor(t):
    w = leaf(t, 5)
    y = t.zeros(3, dtype=t.float64)
    v = y[:2]
    v[0] = w[0] * 2
    return y.requires_grad, v.requires_grad, both_grads(t, w, y)


@program
def copy_into_view(t):
    x, w = leaf(t, 1, 2, 3, 4), leaf(t, 5, 6)
    y = (x * 1).view(2, 2)
    y[:, 0].copy_(w)
    return both_grads(t, x, y), w.grad


@program
def version_counters(t):
    x = t.ones(3)
    v = x[1:]
    versions = [x._version, v._version]
    v.add_(1)
    versions += [x._version, v._version]
    x.mul_(2)
    versions += [x._version, v._version, x.detach()._version, x.data._version]
    return versions


@program
def modified_saved_tensor(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y * y
    y.add_(1)
    z.sum().backward()


@program
def modified_saved_output(t):
    x = leaf(t, 1, 2)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


@program
def modified_through_view(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y.sin()
    y[0] = 0.0
    z.sum().backward()


@program
def modified_leaf_under_no_grad(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    with t.no_grad():
        x.add_(1)
    y.backward()


@program
def modified_through_detach(t):
    x = leaf(t, 1, 2)
    y = x * 2
    z = y.sin()
    y.detach().zero_()
    z.sum().backward()


@program
def modified_through_data(t):
    x = leaf(t, 1, 2)
    y = (x * x).sum()
    x.data.zero_()
    y.backward()
    return x.grad


@program
def inplace_keeps_what_it_needs(t):
    x = leaf(t, 1, 2)
    y = (x * 2).sigmoid_()
    z = (x * 2).exp_()
    (y * z).sum().backward()
    return x.grad


@program
def refused_inplace(t):
    x = leaf(t, 1, 2)
    wide = t.ones(1).expand(3)
    ints = t.tensor([1, 2])
    y = x * 1
    return errors(
        lambda: x.add_(1),
        lambda: x[0].add_(1),
        lambda: x.mul_(2),
        lambda: wide.add_(1),
        lambda: ints.add_(1.5),
        lambda: ints.div_(2),
        lambda: t.ones(2).add_(t.ones(3)),
        lambda: t.ones(1).add_(t.ones(3)),
        lambda: y.unbind(0)[0].mul_(2),
        x.detach_,
    )


@program
def leaf_filled_under_no_grad(t):
    x = leaf(t, 1, 2)
    with t.no_grad():
        x.mul_(3)
        x[0] = 9.0
    (x * x).sum().backward()
    return x.detach(), x.grad, x.is_leaf


@program
def views_made_under_no_grad(t):
    x = leaf(t, 1, 2)
    y = x * 1
    with t.no_grad():
        v = y[:1]
    return v.detach()


@program
def detach_inplace(t):
    x = leaf(t, 1, 2)
    y = x * 2
    y.detach_()
    return y.requires_grad, y.is_leaf, errors(lambda: (x * 1).view(2, 1).detach_())


@program
def inplace_arithmetic_operators(t):
    x = leaf(t, 1.5, 2.5)
    y = x * 1
    y += x
    y *= 2
    y -= 1
    y /= x
    y **= 2
    return both_grads(t, x, y)


@program
def accumulate_into_index(t):
    x = leaf(t, 1, 2, 3)
    y = t.zeros(3, dtype=t.float64)
    for i in range(3):
        y[i] = y[i] + x[i] * i
        y[0] += x[i]
    return both_grads(t, x, y)


# ---- recording on and off -----------------------------------------------------------------------


@program
def grad_modes(t):
    x = leaf(t, 1)
    seen = []
    with t.no_grad():
        seen.append((x * 2).requires_grad)
        with t.enable_grad():
            seen.append((x * 2).requires_grad)
        seen.append(t.is_grad_enabled())
    with t.set_grad_enabled(False):
        seen.append((x * 2).requires_grad)

    @t.no_grad()
    def f():
        return (x * 2).requires_grad

    seen += [f(), t.is_grad_enabled()]
    t.set_grad_enabled(False)
    seen.append((x * 2).requires_grad)
    t.set_grad_enabled(True)
    with t.inference_mode():
        seen += [(x * 2).requires_grad, t.is_inference_mode_enabled()]
    return seen


@program
def integers_carry_no_gradient(t):
    x = leaf(t, 1.5, 2.5)
    return (x > 2).requires_grad, x.argmax().requires_grad, x.long().requires_grad


# ---- Function -----------------------------------------------------------------------------------


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
