from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch
from disttorch.autograd import Function


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class Scale(Function):
    """Takes a tensor, a number and a keyword's default; returns a tensor and a count."""

    @staticmethod
    def forward(ctx, x, factor, offset=0.0):
        ctx.factor = factor
        return x * factor + offset

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None, None


def test_plain_arguments_pass_through():
    x = leaf(1, 2)
    y = Scale.apply(x, 3.0, 1.0)
    y.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), [4, 7])
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])
    assert y.grad_fn.name() == "ScaleBackward"


def test_forward_is_not_recorded():
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            seen.extend([torch.is_grad_enabled(), y.requires_grad])
            return y

        @staticmethod
        def backward(ctx, g):
            seen.append(torch.is_grad_enabled())
            return g * 2

    x = leaf(1)
    Look.apply(x).backward()
    (g,) = torch.autograd.grad(Look.apply(x), x, create_graph=True)
    assert seen == [False, False, False, False, False, True]
    assert g.item() == 2


def test_needs_input_grad_tells_what_is_wanted():
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, x, y, z):
            return x * y

        @staticmethod
        def backward(ctx, g):
            seen.append(ctx.needs_input_grad)
            return g, None, None

    Product.apply(leaf(1), torch.ones(1), 3).sum().backward()
    assert seen == [(True, False, False)]


def test_first_and_second_derivatives_with_saved_inputs_and_outputs():
    class Tanh(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.tanh()
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            _, y = ctx.saved_tensors
            return g * (1 - y * y)

    x = leaf(0.5, 1.5)
    assert torch.autograd.gradcheck(Tanh.apply, (x,))
    assert torch.autograd.gradgradcheck(Tanh.apply, (x,))


def test_saved_tensors_are_freed_by_the_sweep():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    y = Square.apply(leaf(1, 2)).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_a_view_returned_by_forward():
    class Row(Function):
        @staticmethod
        def forward(ctx, x):
            return x[0]

        @staticmethod
        def backward(ctx, g):
            return torch.stack([g * 2, g * 0])

    x = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    Row.apply(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[2, 2], [0, 0]])


def test_gradients_are_cast_and_unbroadcast():
    class Add(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, g

    x, y = torch.ones(3, requires_grad=True), leaf(1.0)
    Add.apply(x, y).sum().backward()
    assert x.grad.dtype is torch.float32
    np.testing.assert_array_equal(y.grad.numpy(), [3])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ((1, 2), RuntimeError, r"incorrect number of gradients \(expected 1, got 2\)"),
        ("word", RuntimeError, "expected Variable or None"),
    ],
)
def test_wrong_results_of_backward_are_refused(result, error, message):
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return result

    with pytest.raises(error, match=message):
        Bad.apply(leaf(1)).backward()


def test_missing_methods_are_named():
    class Empty(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    with pytest.raises(NotImplementedError, match="must implement the forward"):
        Empty.apply(leaf(1))
    with pytest.raises(NotImplementedError, match="must implement either the backward or vjp"):
        Forward.apply(leaf(1)).backward()


class Cube(Function):
    """As functions were written before PyTorch 1.5: methods of an instance."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def forward(self, x):
        self.save_for_backward(x)
        return self.scale * x**3

    def backward(self, g):
        (x,) = self.saved_tensors
        return 3 * self.scale * g * x * x


def test_instances_can_be_called():
    x, cube = leaf(1, 2), Cube(2.0)
    y, z = cube(x), cube(x * 2)  # each call has its own saved tensors
    (y + z).sum().backward()
    assert x.grad.tolist() == [6 + 48, 24 + 192]
    assert cube.needs_input_grad == (True,)
    assert y.grad_fn.name() == "CubeBackward"
    (g,) = torch.autograd.grad(cube(x).sum(), x, create_graph=True)
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [12, 24]
    assert not Cube()(torch.ones(2)).requires_grad


def test_instances_of_static_functions_cannot():
    expected = r"Legacy autograd function with non-static .*use Scale.apply\(...\) on the class"
    with pytest.raises(RuntimeError, match=expected):
        Scale()(leaf(1), 2)
    with pytest.raises(AttributeError, match="no attribute 'saved_tensors'"):
        Cube().saved_tensors  # noqa: B018 - it raises


def test_graphs_of_instances_die_by_reference_count():
    import gc
    import weakref

    gc.disable()
    try:
        x, cube = leaf(1, 2), Cube()
        node = weakref.ref(cube(x).grad_fn)
        assert node() is None
    finally:
        gc.enable()


def test_the_node_of_a_function_says_where_it_is_from():
    class Doubled(Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

    node = Doubled.apply(torch.ones(2, requires_grad=True)).grad_fn
    assert repr(node).startswith("<disttorch.autograd.function.DoubledBackward object at 0x")
