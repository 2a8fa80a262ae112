from __future__ import annotations

import gc
import itertools
import weakref

import numpy as np
import pytest

import disttorch as torch
from disttorch.autograd.engine import queue_callback


def leaf(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


@pytest.fixture
def no_collector():
    """Reference counts alone must free graphs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def shares_memory(a, b) -> bool:
    return np.shares_memory(a._array, b._array)


# ---- memory of gradients --------------------------------------------------------------------


def view_of_sum(x, y):
    return (x + y).reshape(-1).sum()


def same_leaf_twice(x, y):
    return (x + x + y).sum()


def seeded(x, y):
    (x + y).backward(torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("function", [view_of_sum, same_leaf_twice, seeded])
def test_gradients_of_two_leaves_never_share_memory(function):
    x, y = leaf(1, 2, 3), leaf(4, 5, 6)
    loss = function(x, y)
    if loss is not None:
        loss.backward()
    assert not shares_memory(x.grad, y.grad)
    x.grad.zero_()
    np.testing.assert_array_equal(y.grad.numpy(), [1, 1, 1])


def test_the_seed_is_not_taken_over_as_a_gradient():
    x = leaf(1, 2, 3)
    seed = torch.ones(3, dtype=torch.float64)
    (x + 0).backward(seed)
    assert not shares_memory(x.grad, seed)


def test_retained_gradients_are_their_own():
    x = leaf(1, 2, 3)
    y = x + 0
    y.retain_grad()
    y.backward(torch.ones(3, dtype=torch.float64))
    x.grad.zero_()
    np.testing.assert_array_equal(y.grad.numpy(), [1, 1, 1])


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
def test_gradients_share_no_memory():
    """What is done to one gradient in place (clipping, zeroing) is not done to another."""
    x, y, seed = leaf(1, 2, 3), leaf(4, 5, 6), torch.ones(3, dtype=torch.float64)
    (x + y).backward(seed, create_graph=True)
    assert not shares_memory(x.grad, y.grad)
    assert not shares_memory(x.grad, seed)
    x, y = leaf(1, 2, 3), leaf(4, 5, 6)
    (x * y + y).sum().backward(create_graph=True)
    assert x.grad.grad_fn is not None
    assert y.grad.stride() == (1,)
    x, y = leaf(1, 2, 3) + 0, leaf(4, 5, 6) + 0
    x.retain_grad()
    y.retain_grad()
    (x + y).sum().backward()
    assert x.grad.stride() == (1,)
    assert not shares_memory(x.grad, y.grad)


def test_a_fresh_gradient_is_taken_without_a_copy():
    """The array that the formula made is the one in `.grad`."""
    x = torch.ones(1000, requires_grad=True)
    made = []

    class Made(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            return v * 1

        @staticmethod
        def backward(ctx, g):
            result = g * 2
            made.append(result.data_ptr())
            return result

    Made.apply(x).sum().backward()
    assert x.grad.data_ptr() == made[0]


def test_gradients_accumulate_in_place():
    x = leaf(1, 2)
    (x * 2).sum().backward()
    grad, address = x.grad, x.grad.data_ptr()
    (x * 2).sum().backward()
    assert x.grad is grad
    assert grad.data_ptr() == address
    np.testing.assert_array_equal(grad.numpy(), [4, 4])


def test_strided_gradients_arrive_whole():
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor(np.arange(6.0).reshape(3, 2))
    (x.t() * weights).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), weights.numpy().T)


# ---- what stays alive -------------------------------------------------------------------------


def chain(x):
    return (x * 2).exp().sum()


def view_and_write(x):
    y = x * 2
    y[1:].mul_(3)
    return y.sum()


def several_outputs(x):
    return sum((part * 2).sum() for part in (x * 1).unbind(0))


def saved_twice(x):
    y = x.tanh()
    return (y * y).sum()


def own_function(x):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            ctx.save_for_backward(v, v)
            return v * v

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    return Square.apply(x * 1).sum()


def second_order(x):
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    return g.sum()


GRAPHS = (chain, view_and_write, several_outputs, saved_twice, own_function, second_order)


@pytest.mark.parametrize("run_backward", [True, False], ids=["swept", "dropped"])
@pytest.mark.parametrize("build", GRAPHS, ids=lambda f: f.__name__)
def test_graphs_die_by_reference_count(no_collector, build, run_backward):
    x = leaf(1, 2, 3)
    loss = build(x)
    nodes = []
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        nodes.append(weakref.ref(node))
        stack += [n for n, _ in node.next_functions if n is not None]
    del node
    if run_backward:
        loss.backward()
    del loss
    alive = [r() for r in nodes if r() is not None]
    assert [type(n).__name__ for n in alive] in ([], ["AccumulateGrad"] * len(alive))


@pytest.mark.parametrize("build", GRAPHS, ids=lambda f: f.__name__)
def test_leaves_die_by_reference_count(no_collector, build):
    x = leaf(1, 2, 3)
    build(x).backward()
    alive = weakref.ref(x)
    del x
    assert alive() is None


@pytest.mark.parametrize("build", [b for b in GRAPHS if b is not own_function])
def test_object_count_is_flat_over_a_thousand_passes(no_collector, build):
    x = leaf(1, 2, 3)

    def passes(n):
        for _ in range(n):
            x.grad = None
            build(x).backward()

    passes(20)
    before = len(gc.get_objects())
    passes(1000)
    assert len(gc.get_objects()) - before < 20


def test_saved_arrays_are_freed_by_the_sweep():
    x = leaf(1, 2, 3)
    y = x.exp()
    array = weakref.ref(y._array)
    loss = y.sum()
    del y
    assert array() is not None
    loss.backward()
    assert array() is None


# ---- the sweep --------------------------------------------------------------------------------


def test_a_deep_graph_needs_no_recursion():
    x = leaf(1)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1])


def test_leaves_are_ready_before_older_nodes_run():
    """Communication of a layer's gradients starts while earlier layers still compute."""
    log = []
    x = leaf(1)
    w = [leaf(2.0) for _ in range(3)]
    y = x
    for i, p in enumerate(w):
        p.register_post_accumulate_grad_hook(lambda _, i=i: log.append(f"leaf {i}"))
        y = y * p
        y.register_hook(lambda _, i=i: log.append(f"layer {i}"))
    y.backward()
    expected = ([f"layer {i}", f"leaf {i}"] for i in (2, 1, 0))
    assert log == list(itertools.chain(*expected))


def test_a_hook_may_remove_itself():
    x = leaf(1)
    handles = []

    def once(g):
        handles[0].remove()
        return g * 10

    handles.append(x.register_hook(once))
    (x * 2).backward()
    (x * 2).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [22])


def test_backward_inside_a_hook():
    x, y = leaf(1), leaf(3)
    z = x * 2

    @torch.enable_grad()
    def inner(g):
        (y * y).sum().backward()

    z.register_hook(inner)
    z.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2])
    np.testing.assert_array_equal(y.grad.numpy(), [6])


def test_an_error_in_a_hook_leaves_recording_on():
    x = leaf(1)
    y = x * 2

    def fail(g):
        raise KeyError("mine")

    y.register_hook(fail)
    with pytest.raises(KeyError, match="mine"):
        y.backward()
    assert torch.is_grad_enabled()


def test_formulas_are_not_recorded_unless_asked():
    x = leaf(1, 2)
    seen = []
    y = x * x
    y.register_hook(lambda g: seen.append(g.requires_grad))
    y.sum().backward()
    assert seen == [False]
    assert not x.grad.requires_grad


def test_callbacks_run_once_after_the_sweep():
    x = leaf(1)
    log = []
    y = x * 2
    y.register_hook(lambda g: queue_callback(lambda: log.append(x.grad.item())))
    y.backward()
    assert log == [2]
    with pytest.raises(RuntimeError, match="only be installed during backward"):
        queue_callback(list)


def test_gradients_of_the_wrong_shape_are_refused():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            return v * 1

        @staticmethod
        def backward(ctx, g):
            return torch.ones(5, dtype=torch.float64)

    x = leaf(1, 2)
    message = (
        r"WrongBackward returned an invalid gradient at index 0 - got \[5\] but expected shape"
    )
    with pytest.raises(RuntimeError, match=message):
        Wrong.apply(x).sum().backward()


BAD_HOOKS = (
    (lambda g: 5, TypeError, "expected Variable, but hook returned 'int'"),
    (lambda g: torch.ones(3), RuntimeError, "hook '<lambda>' has changed the size of value"),
    (
        lambda g: g.double(),
        RuntimeError,
        "hook '<lambda>' has changed the type of value (was torch.FloatTensor got "
        "torch.DoubleTensor)",
    ),
)


@pytest.mark.parametrize(("hook", "error", "text"), BAD_HOOKS)
@pytest.mark.parametrize("leaf", (True, False))
def test_what_a_hook_returns_must_fit(hook, error, text, leaf):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    (x if leaf else y).register_hook(hook)
    with pytest.raises(error) as caught:
        y.sum().backward()
    assert str(caught.value) == text
