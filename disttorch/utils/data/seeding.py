"""Seeds of loader workers: PyTorch's rule, so that a port draws the same numbers."""

from __future__ import annotations

import random

import numpy as np

from disttorch.random import Generator, fill_random, manual_seed


def draw_seed(generator: Generator | None) -> int:
    """Draw a 63-bit seed from `generator` (None: the default one), as PyTorch's loaders do."""
    return int(fill_random(np.empty((), np.int64), generator))


def worker_seed(base_seed: int, worker_id: int, epoch: int = 0, rank: int = 0) -> int:
    """Seed of a worker in a pass of its loader: base_seed + worker_id, as in PyTorch.

    Later passes of persistent workers, and other ranks of a job (which often share one manual
    seed), have seeds of their own, made of all four numbers.
    """
    if epoch or rank:
        mixed = np.random.SeedSequence([base_seed & (2**64 - 1), epoch, rank])
        base_seed = int(mixed.generate_state(1, np.uint64)[0] >> 1)
    return base_seed + worker_id


def seed_worker(seed: int, worker_id: int) -> None:
    """Seed disttorch's, Python's and NumPy's global generators of a worker as PyTorch does.

    NumPy's takes 32-bit words: a sequence made of both numbers, so that two loaders with near
    seeds do not share streams.
    """
    manual_seed(seed)
    random.seed(seed)
    base = seed - worker_id
    words = [worker_id, base & 0xFFFFFFFF, base >> 32 & 0xFFFFFFFF, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
