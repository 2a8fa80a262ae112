"""Where time goes in a step, and who keeps the others waiting."""

import time

import pytest

import disttorch as torch
import disttorch.distributed as dist
from disttorch.comm import phases, status
from disttorch.comm.status import Record
from disttorch.distributed import step_times as module
from disttorch.distributed.world import _World
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.utils.data import DataLoader, Dataset
from tests.comm import ranks
from tests.comm.ranks import run_ranks

N_STEPS = 4


def record(sequence, begun_s, ended_s):
    return Record(0, "world", sequence, "all_reduce", "SUM", "float32", (3,), -1, "x.py:1",
                  begun_s, ended_s)  # fmt: skip


@pytest.fixture
def spans(monkeypatch):
    """Two steps of 10 s that end at 10 and 20: data 1, backward 4, optimiser 1."""
    made = [phases.OPTIMISER, 9.0, 10.0, 0, phases.DATA, 10.0, 11.0, 0]
    made += [phases.BACKWARD, 13.0, 17.0, 0, phases.OPTIMISER, 19.0, 20.0, 0]
    monkeypatch.setattr(phases, "_spans", made)
    return made


def test_a_step_is_split(spans):
    # A second of communication beside backward, a second after it.
    calls = [record(1, 15.0, 16.0), record(2, 17.0, 18.0), record(3, 2.0, 3.0)]
    times = module._split(3, [10.0, 20.0], calls)
    assert times == {
        "rank": 3,
        "step_s": 10.0,
        "data_s": 1.0,
        "backward_s": 4.0,
        "optimiser_s": 1.0,
        "communication_s": 1.0,
        "overlapped_s": 1.0,
        "forward_s": 3.0,
    }


def test_waiting_at_the_end_of_backward_is_communication(spans):
    spans += [phases.AVERAGING, 15.5, 17.0, 0]
    times = module._split(0, [10.0, 20.0], [record(1, 14.0, 16.5)])
    parts = ("backward_s", "communication_s", "overlapped_s", "forward_s")
    assert [times[name] for name in parts] == [2.5, 1.5, 1.5, 4.0]


def test_a_closures_backward_is_no_time_of_the_optimiser(spans):
    spans[-3:-1] = [12.0, 20.0]
    times = module._split(0, [10.0, 20.0], [record(1, 16.0, 18.0)])
    parts = ("data_s", "backward_s", "optimiser_s", "communication_s", "forward_s")
    assert [times[name] for name in parts] == [1.0, 4.0, 4.0, 0.0, 1.0]


def test_steps_whose_calls_are_forgotten_do_not_count():
    calls = [record(i, 5.0 + i, 5.5 + i) for i in range(module.RING_RECORDS)]
    assert module._covered([1.0, 4.0, 6.0, 9.0], calls) == [6.0, 9.0]
    assert module._covered([1.0, 2.0, 3.0], calls) == [2.0, 3.0]
    assert module._covered([1.0, 4.0, 6.0], calls[:-1]) == [1.0, 4.0, 6.0]


def test_late_is_who_comes_last_and_by_how_much():
    first = {("world", 1): 5.0, ("world", 2): 7.0, ("world", 9): 1.0}
    second = {("world", 1): 5.5, ("world", 2): 6.0}
    third = {("world", 1): 5.0, ("world", 2): 6.5}
    assert module._late([first, second, third], [0.0, 0.0, 0.0]) == [0.5, 0.5, 0.0]
    assert module._late([first, second, third], [0.0, 0.0, -2.0]) == [0.0, 0.0, 3.0]
    assert module._late([first], [0.0]) == [0.0]


def test_clocks_are_compared_at_moments_that_are_the_same_for_all():
    assert module._ahead([[], []]) == [0.0, 0.0]
    assert module._ahead([[1.0, 2.0, 4.0], [8.5, 8.0, 10.0]]) == [0.0, 6.0]


def test_hosts_have_clocks_of_their_own(monkeypatch):
    def body(group):
        ahead_s = 1000.0 * group.rank
        for one in (module, phases, status):
            monkeypatch.setattr(one, "monotonic", lambda: time.monotonic() + ahead_s)
        return train(0)(group)

    monkeypatch.setattr(ranks, "hosts", "ab")
    first, second = ranks.run_ranks(2, body)
    assert first == second and first.straggler == 0
    assert 0.01 < first.ranks[0].late_s < 1.0 and first.ranks[1].late_s < 0.01


def train(slow_rank):
    def body(group):
        _World.group = dist.GroupMember.WORLD = group
        phases.clear()
        with pytest.raises(RuntimeError, match="rank 0, 1 has not made two optimiser steps yet"):
            dist.step_report()
        model = torch.nn.Linear(4, 4)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(N_STEPS + 1):
            if group.rank == slow_rank:
                busy()
            model(torch.ones(2, 4)).sum().backward()
            for parameter in model.parameters():
                dist.all_reduce(parameter.grad)
            optimiser.step()
        return dist.step_report(n_steps=N_STEPS)

    return body


def test_the_time_of_others_is_in_no_ranks_backward():
    def body(group):
        _World.group = dist.GroupMember.WORLD = group
        phases.clear()
        models = [DistributedDataParallel(torch.nn.Linear(4, 4)) for _ in range(2)]
        optimisers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
        for _ in range(N_STEPS + 1):
            for model, optimiser in zip(models, optimisers, strict=True):
                if group.rank == 0:
                    busy()
                model(torch.ones(2, 4)).sum().backward()
                optimiser.step()
        return dist.step_report(n_steps=N_STEPS)

    report, _ = run_ranks(2, body)
    slow, fast = report.ranks
    assert (report.n_steps, report.straggler) == (N_STEPS, 0)
    assert fast.step_s > 0.05 and fast.communication_s > 0.03  # two models a step
    assert fast.backward_s < 0.02 and slow.communication_s < 0.02


def busy():
    """About 30 ms of forward."""
    x = torch.ones(200, 200)
    end_s = phases.monotonic() + 0.03
    while phases.monotonic() < end_s:
        x = x @ x * 0


@pytest.mark.parametrize("slow_rank", [0, 1])
def test_the_straggler_is_named(slow_rank):
    first, second = run_ranks(2, train(slow_rank))
    assert first == second
    assert first.straggler == slow_rank and first.n_steps == N_STEPS
    slow, fast = first.ranks[slow_rank], first.ranks[1 - slow_rank]
    assert slow.forward_s > 0.02 and slow.late_s > 0.01
    assert fast.communication_s > 0.01 and fast.late_s < slow.late_s
    assert slow.backward_s > 0 and slow.optimiser_s > 0
    text = str(first)
    assert text.startswith("mean of 4 steps, ms\n")
    assert f"rank {slow_rank} keeps the others waiting" in text
    assert text.endswith("more than another rank in: forward")


class Slow(Dataset):
    """Samples that take about 30 ms where they are slow."""

    def __init__(self, is_slow):
        self.is_slow = is_slow

    def __len__(self):
        return N_STEPS + 1

    def __getitem__(self, i):
        if self.is_slow:
            busy()
        return torch.ones(4)


def test_waiting_for_data_is_told_without_a_launcher():
    def body(group):
        _World.group = dist.GroupMember.WORLD = group
        phases.clear()
        model = torch.nn.Linear(4, 4)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in DataLoader(Slow(group.rank == 1)):
            model(x).sum().backward()
            dist.all_reduce(model.weight.grad)
            optimiser.step()
        return dist.step_report(n_steps=N_STEPS)

    report, same = run_ranks(2, body)
    assert report == same and report.straggler == 1
    assert report.ranks[1].data_s > 0.02 > report.ranks[0].data_s
    assert str(report).endswith("more than another rank in: data")
