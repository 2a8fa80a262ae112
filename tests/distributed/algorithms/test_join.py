"""Uneven inputs: ranks without data shadow the others."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.distributed.algorithms.join import Join, Joinable, JoinHook
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import outcomes_of, run_ranks


def layers():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for p in model.parameters():
        nn.init.ones_(p)
    return model


def gradients_with(group, n_steps, **how):
    """Gradients of the first layer in each of the steps that this rank has data for."""
    model = DistributedDataParallel(layers(), process_group=group, bucket_cap_mb=1e-5)
    found = []
    with model.join(**how):
        for _ in range(n_steps[group.rank]):
            model.zero_grad()
            model(torch.full((1, 1), 6.0)).sum().backward()
            found.append(model.module[0].weight.grad.item())
    return found


@pytest.mark.parametrize(
    ("divide_by_all", "expected"), [(True, [6.0, 4.0, 2.0]), (False, [6.0, 6.0, 6.0])]
)
def test_gradients_are_divided_by_all_ranks_or_those_with_data(divide_by_all, expected):
    steps = [2, 1, 3]
    results = run_ranks(
        3, lambda g: gradients_with(g, steps, divide_by_initial_world_size=divide_by_all)
    )
    for n, found in zip(steps, results, strict=True):
        np.testing.assert_allclose(found, expected[:n], rtol=1e-6)


@pytest.mark.parametrize("how", [{}, {"find_unused_parameters": True}, {"static_graph": True}])
@pytest.mark.parametrize("zero", [False, True])
def test_every_rank_ends_with_the_model_of_the_last(how, zero):
    def body(group):
        torch.manual_seed(group.rank)
        inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        model = DistributedDataParallel(inner, process_group=group, **how)
        kinds = {"process_group": group, "lr": 0.1}
        optimizer = (
            ZeroRedundancyOptimizer(model.parameters(), optim.SGD, **kinds)
            if zero
            else optim.SGD(model.parameters(), lr=0.1)
        )
        x = torch.randn(4, 2)
        with Join([model, optimizer] if zero else [model]):
            for _ in range(1 + 2 * group.rank):
                optimizer.zero_grad()
                model(x).square().sum().backward()
                optimizer.step()
        return [t.numpy().tobytes() for t in inner.state_dict().values()]

    first, second = run_ranks(2, body)
    assert first == second


def test_steps_without_synchronisation_are_not_shadowed():
    def body(group):
        model = DistributedDataParallel(layers(), process_group=group)
        with model.join():
            for step in range(2 + group.rank):
                with model.no_sync():
                    model(torch.ones(1, 1)).sum().backward()
                if step % 2:
                    model(torch.ones(1, 1)).sum().backward()
        return model.module[0].weight.item()

    assert run_ranks(2, body) == [1.0, 1.0]


def test_all_ranks_stop_once_one_is_done_if_that_is_wanted():
    def body(group):
        gradients_with(group, [1, 3], throw_on_early_termination=True)

    done, other = outcomes_of(2, body)
    assert "Rank 0 exhausted all inputs." in str(done.error)
    assert "Detected at least one rank that exhausted inputs." in str(other.error)
    assert type(done.error) is type(other.error) is RuntimeError


def test_an_error_in_the_loop_is_not_hidden():
    def body(group):
        model = DistributedDataParallel(layers(), process_group=group)
        with pytest.raises(ZeroDivisionError), model.join():
            1 // 0  # noqa: B018 - the error is the point
        return model._join_config.enable

    assert run_ranks(1, body) == [False]


class Counter(Joinable):
    """Adds up a number over the ranks in each step."""

    def __init__(self, group):
        super().__init__()
        self.group, self.total = group, 0

    def __call__(self, n):
        Join.notify_join_context(self)
        self.total += self.add(n)

    def add(self, n):
        value = np.array([n])
        self.group.all_reduce(value)
        return int(value[0])

    def join_hook(self, **kwargs):
        return CounterHook(self, kwargs["step"])

    join_device = "cpu"

    @property
    def join_process_group(self):
        return self.group


class CounterHook(JoinHook):
    def __init__(self, counter, step):
        self.counter, self.step = counter, step

    def main_hook(self):
        self.counter.total += self.step * self.counter.add(0)

    def post_hook(self, is_last_joiner):
        self.counter.last = is_last_joiner


def test_joinables_of_ones_own():
    def body(group):
        counter = Counter(group)
        with Join([counter], step=100):
            for _ in range(1 + group.rank):
                counter(1)
        return counter.total, counter.last

    assert run_ranks(3, body) == [(3 + 200 + 100, False), (3 + 2 + 100, False), (3 + 2 + 1, True)]


def test_misuse():
    with pytest.raises(ValueError, match="requires at least one joinable"):
        Join([])
    with pytest.raises(AssertionError, match="calls the ``Joinable`` constructor"):
        Join.notify_join_context(object())
