"""Buffers that all ranks take from one of them."""

import disttorch as torch
from disttorch import nn
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.ranks import run_ranks


def test_buffers_follow_rank_0():
    def body(group):
        model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        wrapped = DistributedDataParallel(model, process_group=group)
        mine = torch.tensor([[1.0, 2.0], [3.0, float(group.rank)], [0.0, 1.0]])
        out = wrapped(mine)
        means = [model[1].running_mean.tolist()]
        out.sum().backward()
        means.append(model[1].running_mean.tolist())
        model[1].running_mean += group.rank
        wrapped(torch.ones(3, 2))  # starts from rank 0's statistics everywhere
        return [*means, model[1].running_mean.tolist()]

    first, second = run_ranks(2, body)
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, True, True]


def test_buffers_that_are_equal_already_may_be_part_of_a_graph():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.register_buffer("scale", torch.tensor([3.0]))

        def forward(self, x):
            return self.weight * x * self.scale

    def body(group):
        model = DistributedDataParallel(Scaled(), process_group=group)
        loss = (model(torch.ones(1)) + model(torch.ones(1))).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return model.weight.grad.item()

    assert run_ranks(2, body) == [12.0] * 2
