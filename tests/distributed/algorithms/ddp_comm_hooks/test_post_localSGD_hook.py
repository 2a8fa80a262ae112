"""Gradients that are averaged over all ranks first, and over a host's later."""

import pytest

import disttorch as torch
from disttorch import nn
from disttorch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import (
    PostLocalSGDState,
    post_localSGD_hook,
)
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm import ranks


def gradients(group, **settings):
    """The gradient of each of four steps, in two buckets; rank r's own is r + 1."""
    layers = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    for p in layers.parameters():
        nn.init.ones_(p)
    model = DistributedDataParallel(layers, process_group=group, bucket_cap_mb=1e-6)
    model.register_comm_hook(PostLocalSGDState(group, None, 2, **settings), post_localSGD_hook)
    found = []
    for _ in range(4):
        model.zero_grad()
        model(torch.full((1, 1), group.rank + 1.0)).sum().backward()
        found.append([p.grad.item() for p in layers.parameters()])
    assert all(a == b for a, b in found)
    return [a for a, _ in found]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[2, 2, 1.5, 1.5], [2, 2, 1.5, 1.5], [2, 2, 3, 3]]),
        ({"post_local_gradient_allreduce": False}, [[2, 2, 1, 1], [2, 2, 2, 2], [2, 2, 3, 3]]),
    ],
)
def test_hosts_part_after_some_steps(settings, expected, monkeypatch):
    monkeypatch.setattr(ranks, "hosts", "aab")
    assert ranks.run_ranks(3, lambda group: gradients(group, **settings)) == [
        pytest.approx(row) for row in expected
    ]


def test_ranks_of_one_host_never_part():
    assert ranks.run_ranks(2, gradients) == [[1.5] * 4] * 2
