"""Sharded steps that are taken inside of backward: those of the optimiser on its own."""

import numpy as np
import pytest

import disttorch as torch
from disttorch import nn, optim
from disttorch.distributed.algorithms.ddp_comm_hooks import default_hooks
from disttorch.distributed.algorithms.ddp_comm_hooks.ddp_zero_hook import (
    hook_with_zero_step,
    hook_with_zero_step_interleaved,
)
from disttorch.distributed.algorithms.join import Join
from disttorch.distributed.optim import ZeroRedundancyOptimizer
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import outcomes_of, run_ranks


def made(group, kind=optim.SGD, *, overlap=True, **settings):
    torch.manual_seed(1)
    inner = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Linear(4, 3))
    model = DistributedDataParallel(inner, process_group=group, bucket_cap_mb=1e-4)
    settings = {"lr": 0.1, **settings}
    zero = ZeroRedundancyOptimizer(
        model.parameters(), kind, group, overlap_with_ddp=overlap, **settings
    )
    return model, zero


def trained(group, model, zero, n_steps=4):
    x = np.random.RandomState(group.rank).standard_normal((3, 6)).astype(np.float32)
    scheduler = optim.lr_scheduler.StepLR(zero, 2, 0.1)
    for _ in range(n_steps):
        zero.zero_grad()
        with model.no_sync():
            model(torch.from_numpy(x)).sum().backward()
        model(torch.from_numpy(x)).square().mean().backward()
        zero.step()
        scheduler.step()
    return [p.detach().numpy().copy() for p in model.parameters()]


CASES = [
    (2, optim.SGD, {"momentum": 0.9}, default_hooks.allreduce_hook, hook_with_zero_step),
    (3, optim.AdamW, {}, default_hooks.allreduce_hook, hook_with_zero_step_interleaved),
    (2, optim.Adam, {}, default_hooks.fp16_compress_hook, hook_with_zero_step),
    (
        2, optim.SGD, {},
        default_hooks.bf16_compress_wrapper(default_hooks.allreduce_hook), hook_with_zero_step,
    ),
    (1, optim.Adam, {}, default_hooks.allreduce_hook, hook_with_zero_step),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_steps_in_backward_are_those_after_it(case):
    size, kind, settings, averaging, combined = CASES[case]

    def body(group):
        model, zero = made(group, kind, overlap=False, **settings)
        model.register_comm_hook(group, averaging)
        expected = trained(group, model, zero)
        model, zero = made(group, kind, **settings)
        model.register_comm_hook(group, combined(averaging, model, zero))
        return expected, trained(group, model, zero), zero.step(lambda: 5.0)

    results = run_ranks(size, body)
    for expected, found, loss in results:
        assert loss == 5.0
        for a, b, first in zip(expected, found, results[0][1], strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
            assert b.tobytes() == first.tobytes()


def without_overlap(group):
    model, zero = made(group, overlap=False)
    hook_with_zero_step(default_hooks.allreduce_hook, model, zero)


def other_parameters(group):
    model, _ = made(group)
    zero = made(group)[1]
    hook_with_zero_step(default_hooks.allreduce_hook, model, zero)


def joined(group):
    model, zero = made(group)
    with Join([model, zero]):
        pass


class PartlyUsed(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.never = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def unused(group):
    model = DistributedDataParallel(PartlyUsed(), process_group=group, find_unused_parameters=True)
    zero = ZeroRedundancyOptimizer(
        model.parameters(), optim.SGD, group, overlap_with_ddp=True, lr=1.0
    )
    model.register_comm_hook(group, hook_with_zero_step(default_hooks.allreduce_hook, model, zero))
    model(torch.ones(1, 2)).sum().backward()


REFUSED = [
    (without_overlap, ValueError, "constructed with `overlap_with_ddp=True`"),
    (other_parameters, ValueError, "must have the same parameters"),
    (joined, RuntimeError, "leave out overlap_with_ddp for uneven inputs"),
    (unused, RuntimeError, "needs a gradient for every parameter in every pass"),
]


@pytest.mark.parametrize(("misuse", "kind", "text"), REFUSED, ids=lambda v: str(v)[:20])
def test_misuse(misuse, kind, text):
    (outcome,) = outcomes_of(1, misuse)
    assert type(outcome.error) is kind, outcome.trace
    assert text in str(outcome.error)
