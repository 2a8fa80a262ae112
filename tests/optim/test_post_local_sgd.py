"""An optimiser whose ranks step alone and average at times: its state, and what it passes on."""

import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from disttorch.distributed.optim.post_localSGD_optimizer import PostLocalSGDOptimizer
from tests.comm.ranks import run_ranks


def optimizer_of(group, value=0.0, **how):
    p = nn.Parameter(torch.full((1,), value))
    p.grad = torch.full((1,), -1.0 - group.rank)
    inner = optim.SGD([p], lr=1.0, momentum=0.5)
    return p, PostLocalSGDOptimizer(inner, PeriodicModelAverager(3, process_group=group, **how))


def test_ranks_step_alone_and_meet():
    def body(group):
        p, optimizer = optimizer_of(group, warmup_steps=2)
        scheduler = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        found = []
        for _ in range(3):
            optimizer.step()
            scheduler.step()
            found.append(p.item())
        assert optimizer.param_groups[0]["lr"] == optimizer.optim.param_groups[0]["lr"] == 0.125
        assert p in optimizer.state
        assert repr(optimizer) == repr(optimizer.optim)
        optimizer.zero_grad()
        assert p.grad is None
        return found

    # Momentum 0.5 and halved rates: 1, then + 0.75, then + 0.4375 for the first rank.
    assert run_ranks(2, body) == [[1.0, 1.75, 3.28125], [2.0, 3.5, 3.28125]]


def test_the_averagers_step_is_saved():
    def body(group):
        _, optimizer = optimizer_of(group)
        for _ in range(2):
            optimizer.step()
        saved = optimizer.state_dict()
        assert saved["step"] == 2
        q, other = optimizer_of(group)
        other.load_state_dict(saved)
        assert other.averager.step == 2
        assert other.state[q]["momentum_buffer"].item() == -1.5 * (1 + group.rank)
        with pytest.warns(UserWarning, match="does not contain a step counter"):
            other.load_state_dict({k: v for k, v in saved.items() if k != "step"})
        assert other.averager.step == 0
        other.step()
        assert other.optim.param_groups is other.param_groups
        other.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
        assert len(other.param_groups) == 2

    run_ranks(1, body)
