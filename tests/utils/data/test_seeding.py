import random

import numpy as np
import pytest

import disttorch as torch
from disttorch.utils.data.seeding import draw_seed, seed_worker, worker_seed


def test_seeds_differ_between_workers_passes_and_ranks():
    seeds = {worker_seed(5, w, e, r) for w in range(3) for e in range(3) for r in range(3)}
    assert len(seeds) == 27
    assert worker_seed(5, 2) == 7


@pytest.mark.parity
def test_workers_draw_torchs_numbers():
    reference = pytest.importorskip("torch", reason="torch is not installed")
    from torch.utils.data._utils.worker import _generate_state

    reference.manual_seed(3)
    torch.manual_seed(3)
    base = draw_seed(None)
    assert base == reference.empty((), dtype=reference.int64).random_().item()
    before = np.random.get_state(), random.getstate()
    seed_worker(worker_seed(base, 1), 1)
    drawn = torch.rand(3).tolist(), random.random(), np.random.random()
    np.random.set_state(before[0])
    random.setstate(before[1])
    reference.manual_seed(base + 1)
    rng = np.random.RandomState(_generate_state(base, 1))
    expected = reference.rand(3).tolist(), random.Random(base + 1).random(), rng.random()
    assert drawn == expected
