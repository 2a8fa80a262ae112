"""Everything is freed by reference count: with the garbage collector off nothing piles up."""

import gc
import resource
import threading

import numpy as np
import pytest

import disttorch as torch

nn = torch.nn


@pytest.fixture
def no_collector():
    """Collect once, then leave the collector off for the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def training_step():
    """Module, loss, backward and optimizer step, with all kinds of saved values on the way."""
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, target = torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def inplace_on_views():
    x = torch.ones(4, requires_grad=True)

    def step():
        y = x.exp()
        y = y * 2
        y[1:].mul_(y[0].detach().clone())
        z = y.view(2, 2).t()
        z[0] = y[:2].detach()
        z.softmax(0).unbind()[1].sum().backward()
        x.grad = None

    return step


def double_backward():
    x = torch.ones(3, requires_grad=True)

    def step():
        y = (x.sigmoid() * x.tanh()).norm()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (h,) = torch.autograd.grad((g * g).sum(), x)
        return h

    return step


def hooks_and_functions():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, _ = ctx.saved_tensors
            return 2 * x * g

    x = torch.ones(3, requires_grad=True)

    def step():
        y = Square.apply(x)
        y.retain_grad()
        handle = y.register_hook(lambda g: g * 2)
        y.sum().backward()
        handle.remove()
        x.grad = None

    return step


def a_graph_that_is_dropped():
    x = torch.ones(3, requires_grad=True)
    return lambda: (x.exp() * x).cumsum(0).max(0)


def an_error_in_backward():
    x = torch.ones(3, requires_grad=True)

    def step():
        y = x.exp()
        z = y * y
        y.add_(1)
        try:
            z.sum().backward()
        except RuntimeError:
            return
        raise AssertionError("the modified tensor was not noticed")

    return step


STEPS = (
    *(training_step, inplace_on_views, double_backward, hooks_and_functions),
    *(a_graph_that_is_dropped, an_error_in_backward),
)


@pytest.mark.parametrize("build", STEPS, ids=lambda b: b.__name__)
def test_steps_leave_no_objects(no_collector, build):
    step = build()
    for _ in range(5):
        step()
    before = len(gc.get_objects())
    for _ in range(100):
        step()
    assert len(gc.get_objects()) - before < 20


def test_a_thousand_training_steps_take_no_more_memory(no_collector):
    step = training_step()
    for _ in range(50):
        step()
    n_objects = len(gc.get_objects())
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        step()
    assert len(gc.get_objects()) - n_objects < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb < 1024


def test_a_model_goes_when_its_last_name_does(no_collector):
    before = len(gc.get_objects())
    for _ in range(20):
        training_step()()
    assert len(gc.get_objects()) - before < 100


def test_threads_add_to_the_same_leaf():
    n_threads, n_sweeps = 4, 80
    leaf = torch.zeros(200_000, requires_grad=True)
    start = threading.Barrier(n_threads)

    def work():
        start.wait(30)
        for _ in range(n_sweeps):
            (leaf * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    np.testing.assert_array_equal(leaf.grad.numpy(), 2.0 * n_threads * n_sweeps)


def test_threads_share_a_graph():
    x = torch.linspace(0, 1, 5000, requires_grad=True)
    shared = (x.exp() * x.sin()).cumsum(0)
    (wanted,) = torch.autograd.grad(shared.sum(), x, retain_graph=True)
    results = []

    def work(seed):
        scale = float(seed + 1)
        (g,) = torch.autograd.grad((shared * scale).sum(), x, retain_graph=True)
        results.append(g / scale)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 4
    for g in results:
        torch.testing.assert_close(g, wanted)
