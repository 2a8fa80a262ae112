import pytest

import disttorch as torch
from disttorch.utils import data

# What each library is asked for, as a function of its `torch` and `utils.data`.
SAMPLERS = {
    "random": lambda t, d, g: d.RandomSampler(range(10), generator=g),
    "more than there are": lambda t, d, g: d.RandomSampler(range(7), num_samples=17, generator=g),
    "twice over": lambda t, d, g: d.RandomSampler(range(5), num_samples=10, generator=g),
    "replacement": lambda t, d, g: d.RandomSampler(range(9), True, 70, generator=g),
    "full blocks": lambda t, d, g: d.RandomSampler(range(9), True, 64, generator=g),
    "subset": lambda t, d, g: d.SubsetRandomSampler([3, 1, 4], generator=g),
    "weighted": lambda t, d, g: d.WeightedRandomSampler([0.1, 0.5, 0.4], 9, generator=g),
    "weighted once": lambda t, d, g: d.WeightedRandomSampler([1, 2, 3.0], 2, False, generator=g),
    "batches": lambda t, d, g: d.BatchSampler(d.RandomSampler(range(10), generator=g), 4, False),
    "distributed": lambda t, d, g: d.DistributedSampler(range(11), 4, 1, seed=5),
    "distributed, few": lambda t, d, g: d.DistributedSampler(range(2), 5, 3),
    "distributed, dropped": lambda t, d, g: d.DistributedSampler(range(11), 4, 1, drop_last=True),
    "split": lambda t, d, g: [
        i for s in d.random_split(range(10), [0.35, 0.3, 0.35], generator=g) for i in s.indices
    ],
    "split by lengths": lambda t, d, g: [
        i for s in d.random_split(range(10), [3, 7], generator=g) for i in s.indices
    ],
    # refused
    "empty": lambda t, d, g: d.RandomSampler([]),
    "no draws": lambda t, d, g: d.RandomSampler(range(3), num_samples=0),
    "replacement of a kind": lambda t, d, g: d.RandomSampler(range(3), replacement="yes"),
    "weights in 2-d": lambda t, d, g: d.WeightedRandomSampler([[1.0]], 1),
    "no weights drawn": lambda t, d, g: d.WeightedRandomSampler([1.0], 0),
    "batches of none": lambda t, d, g: d.BatchSampler(range(3), 0, False),
    "drop_last of a kind": lambda t, d, g: d.BatchSampler(range(3), 1, 1),
    "rank too high": lambda t, d, g: d.DistributedSampler(range(3), 2, 2),
    "wrong split": lambda t, d, g: d.random_split(range(10), [3, 6]),
    "wrong fraction": lambda t, d, g: d.random_split(range(10), [0.5, 1.5, -1.0]),
}


def two_passes(make, torch, data, own_generator):
    torch.manual_seed(3)
    generator = torch.Generator() if own_generator else None
    if generator is not None:
        generator.manual_seed(4)
    try:
        sampler = make(torch, data, generator)
    except Exception as error:
        return type(error), str(error)
    return list(sampler), list(sampler)


@pytest.mark.parity
@pytest.mark.parametrize("own_generator", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_indices_and_errors_are_torchs(name, own_generator):
    reference = pytest.importorskip("torch", reason="torch is not installed")
    import torch.utils.data as reference_data

    expected = two_passes(SAMPLERS[name], reference, reference_data, own_generator)
    assert two_passes(SAMPLERS[name], torch, data, own_generator) == expected
