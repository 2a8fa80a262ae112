"""Sharded optimisers: parity with the unsharded ones, who holds what, saving and loading."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.optim.zero_redundancy import partition
from tests.comm.ranks import outcomes_of, run_ranks

X = np.random.RandomState(0).standard_normal((12, 5)).astype(np.float32)


def model_of():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3), nn.Linear(3, 1))


def train(model, optimizer, rank=0, size=1, n_steps=4, scheduler=None):
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(torch.from_numpy(X[rank::size].copy())).square().mean().backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return [p.detach().numpy().copy() for p in model.parameters()], norm.item()


OPTIMIZERS = [
    (optim.SGD, {"lr": 0.3, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.05}),
    (optim.AdamW, {"lr": 0.05, "weight_decay": 0.1}),
]


def test_the_largest_go_first_to_whoever_has_least():
    loads = [0, 0]
    assert partition([1, 10, 4, 5], loads) == [1, 0, 1, 1]
    assert loads == [10, 10]
    assert partition([3], loads) == [0]
    assert partition([], [0, 0, 0]) == []


@pytest.mark.parametrize("as_view", [False, True])
@pytest.mark.parametrize(("kind", "settings"), OPTIMIZERS)
@pytest.mark.parametrize("size", [2, 3])
def test_parameters_are_those_of_the_unsharded_optimizer(kind, settings, as_view, size):
    def body(group):
        model = DistributedDataParallel(model_of(), process_group=group)
        optimizer = ZeroRedundancyOptimizer(
            model.parameters(), kind, group, parameters_as_bucket_view=as_view, **settings
        )
        scheduler = optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
        found, norm = train(model, optimizer, group.rank, size, scheduler=scheduler)
        return found, norm, len(optimizer.optim.state)

    plain = model_of()
    optimizer = kind(plain.parameters(), **settings)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    expected, expected_norm = train(plain, optimizer, scheduler=scheduler)
    results = run_ranks(size, body)
    for found, norm, _ in results:
        assert norm == pytest.approx(expected_norm, rel=1e-3)
        for mine, theirs, first in zip(found, expected, results[0][0], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=2e-5)
            assert mine.tobytes() == first.tobytes()
    assert sum(n for _, _, n in results) == len(expected)  # each state is held once


def states_of(optimizer):
    return {
        k: {name: np.asarray(v) for name, v in entries.items()}
        for k, entries in optimizer.state_dict()["state"].items()
    }


@pytest.mark.parametrize("to", [0, 1])
def test_the_whole_state_saves_and_loads(to):
    def body(group):
        model = DistributedDataParallel(model_of(), process_group=group)
        optimizer = ZeroRedundancyOptimizer(model.parameters(), optim.Adam, group, lr=0.05)
        train(model, optimizer, group.rank, 2)
        optimizer.consolidate_state_dict(to=to)
        whole = group.broadcast_object(optimizer.state_dict() if group.rank == to else None, to)
        resumed = ZeroRedundancyOptimizer(model.parameters(), optim.Adam, group, lr=9.0)
        resumed.load_state_dict(whole)
        unsharded = optim.Adam(model.parameters(), lr=9.0)
        unsharded.load_state_dict(whole)
        train(model, resumed, group.rank, 2, n_steps=1)
        resumed.consolidate_state_dict(to=to)
        after = states_of(resumed) if group.rank == to else None
        return sorted(whole["state"]), resumed.param_groups[0]["lr"], after, states_of(unsharded)

    plain = model_of()
    optimizer = optim.Adam(plain.parameters(), lr=0.05)
    train(plain, optimizer, n_steps=5)
    results = run_ranks(2, body)
    assert [r[0] for r in results] == [list(range(6))] * 2
    assert [r[1] for r in results] == [0.05] * 2
    after = results[to][2]
    for k, entries in states_of(optimizer).items():
        for name, value in entries.items():
            np.testing.assert_allclose(after[k][name], value, rtol=2e-2, atol=1e-6)


def test_state_that_was_not_consolidated_here_is_refused():
    def body(group):
        optimizer = ZeroRedundancyOptimizer(model_of().parameters(), optim.SGD, group, lr=1.0)
        optimizer.consolidate_state_dict(to=0)
        optimizer.state_dict()

    first, second = outcomes_of(2, body)
    assert first.error is None
    assert isinstance(second.error, RuntimeError)
    assert "Please call `consolidate_state_dict(to=1)` on all ranks" in str(second.error)


def test_groups_with_settings_of_their_own_and_more_ranks_than_parameters():
    def body(group):
        a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
        optimizer = ZeroRedundancyOptimizer([{"params": [a], "lr": 0.5}], optim.SGD, group, lr=9.0)
        optimizer.add_param_group({"params": [b]})
        optimizer.param_groups[1]["lr"] = 0.25
        for p in (a, b):
            p.grad = torch.ones_like(p)
        loss = optimizer.step(lambda: 7.0)
        return loss, a.tolist(), b.tolist()

    assert run_ranks(3, body) == [(7.0, [0.5] * 2, [0.75] * 3)] * 3
