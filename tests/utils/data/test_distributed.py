import collections
import random

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

N = 23


class FromPython(Sampler):
    """An order from Python's and NumPy's global generators."""

    def __len__(self):
        return N

    def __iter__(self):
        order = list(range(N))
        random.shuffle(order)
        return iter(np.random.permutation(order).tolist())


WRAPPED = {
    "weighted": lambda: WeightedRandomSampler([1.0 + i for i in range(N)], 40),
    "random": lambda: RandomSampler(range(N)),
    "own generator": lambda: RandomSampler(range(N), generator=torch.Generator()),
    "subset": lambda: SubsetRandomSampler(range(5, 20)),
    "other generators": FromPython,
    "batches": lambda: BatchSampler(RandomSampler(range(N)), 4, False),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_one_order_of_any_sampler(name, world_size):
    """However the generators of the ranks differ."""
    shares = []
    for rank in range(world_size):
        torch.manual_seed(rank)
        random.seed(rank)
        np.random.seed(rank)
        sampler = DistributedSampler(
            sampler=WRAPPED[name](), num_replicas=world_size, rank=rank, pad=False
        )
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1])
    n = sum(map(len, shares))
    order = [shares[k % world_size][k // world_size] for k in range(n)]
    alone = list(DistributedSampler(sampler=WRAPPED[name](), num_replicas=1, rank=0))
    assert order == alone


def test_wrapped_samplers_change_with_the_epoch():
    sampler = DistributedSampler(sampler=WRAPPED["weighted"](), num_replicas=2, rank=0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_wrapping_leaves_the_generators_alone():
    sampler = DistributedSampler(sampler=FromPython(), num_replicas=2, rank=0)
    before = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()
    list(sampler)
    after = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()
    assert before == after


def test_weights_hold_over_all_ranks():
    weights = [0.0, 1.0, 3.0]
    seen = collections.Counter()
    for rank in range(2):
        wrapped = WeightedRandomSampler(weights, 4000)
        seen.update(DistributedSampler(sampler=wrapped, num_replicas=2, rank=rank))
    assert seen[0] == 0
    assert 2.7 < seen[2] / seen[1] < 3.3


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (dict(dataset=range(3), num_replicas=2, rank=2), ValueError, r"Invalid rank 2.*\[0, 1\]"),
        (dict(dataset=range(3), num_replicas=2, rank=-1), ValueError, "Invalid rank -1"),
        (dict(num_replicas=2, rank=0), TypeError, "missing 1 required positional.*'dataset'"),
    ],
)
def test_misuse_is_refused(arguments, kind, text):
    with pytest.raises(kind, match=text):
        DistributedSampler(**arguments)
