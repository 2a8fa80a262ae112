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


def swap_names(x, y):
    """A tensor written in place takes its history along under a new name."""
    z = x * y
    z += x
    w, z = z, z[1:]
    return (w[1:] * z).sum()


def through_saved_hooks(x, y):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.tensor):
        return (x * y).exp().sum()


def retained(x, y):
    z = x * y
    z.retain_grad()
    loss = (z / y).sum()
    loss.backward(retain_graph=True)
    return loss


# Scalars made of two leaves with ten numbers each.
PROGRAMS = {
    "chain": lambda x, y: ((x * y + x - y) / (y + 2)).sum(),
    "numbers": lambda x, y: (2 * x + 1 - (3 - y) / 4).mean(),
    "functions": lambda x, y: (x.exp() + (y + 3).log() * x.tanh() - y.sigmoid().sqrt()).sum(),
    "powers": lambda x, y: (x**2 + (y + 3) ** x).sum(),
    "broadcast": lambda x, y: (x.unsqueeze(1) * y.unsqueeze(0)).sum(),
    "reductions": lambda x, y: x.var() + y.norm() + x.max() + (x * y).prod(),
    "views": lambda x, y: (x.view(2, 5).t() @ y.reshape(2, 5)).transpose(0, 1).flatten().sum(),
    "expand": lambda x, y: (x.expand(3, 10) + y.view(1, 10)).sum(0).sum(),
    "picks": lambda x, y: x[2] * y[-1] + x[1:7:2].sum() + y[torch.tensor([1, 1, 4])].sum(),
    "masks": lambda x, y: x[x > 0.5].sum() + torch.where(y > 0.5, x, y).sum(),
    "clamped": lambda x, y: (x.clamp(0.2, 0.8) * y.relu() + torch.maximum(x, y)).sum(),
    "joined": lambda x, y: torch.cat([x, y]).sum() + torch.stack([x, y]).max(0).values.sum(),
    "parts": lambda x, y: sum(part.sum() for part in x.split(3)) + y.unbind()[0],
    "scans": lambda x, y: (x.cumsum(0) * y.sort().values).sum(),
    "losses": lambda x, y: (
        nn.functional.cross_entropy((x * y).view(2, 5), torch.tensor([1, 3]))
        + nn.functional.mse_loss(x, y.detach())
    ),
    "swap_names": swap_names,
    "through_saved_hooks": through_saved_hooks,
    "retained": retained,
}
N_PASSES = 10_000


def test_ten_thousand_passes_leave_no_objects_and_no_memory(no_collector):
    x, y = torch.rand(10, requires_grad=True), torch.rand(10, requires_grad=True)

    def rounds(n):
        for _ in range(n):
            for program in PROGRAMS.values():
                program(x, y).backward()
                x.grad = y.grad = None

    rounds(20)
    n_objects = len(gc.get_objects())
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds(-(-N_PASSES // len(PROGRAMS)))
    assert len(gc.get_objects()) - n_objects < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb < 1024


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pass_leaves_no_objects(no_collector, name):
    x, y = torch.rand(10, requires_grad=True), torch.rand(10, requires_grad=True)
    for _ in range(3):
        PROGRAMS[name](x, y).backward()
    before = len(gc.get_objects())
    for _ in range(50):
        PROGRAMS[name](x, y).backward()
        PROGRAMS[name](x, y)  # and one that is dropped
    assert len(gc.get_objects()) - before < 10


def test_a_model_goes_when_its_last_name_does(no_collector):
    training_step()()  # what is imported at the first use stays
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
