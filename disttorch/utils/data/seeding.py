"""Seeds of loader workers: PyTorch's rule, so that a port draws the same numbers."""

from __future__ import annotations

import random

import numpy as np

from disttorch.random import Generator, fill_random, manual_seed


def draw_seed(generator: Generator | None) -> int:
    """Draw a 63-bit seed from `generator` (None: the default one), as PyTorch's loaders do."""
    return int(fill_random(np.empty((), np.int64), generator))


def seed_worker(base_seed: int, worker_id: int) -> None:
    """Seed disttorch's, Python's and NumPy's global generators of a worker.

    Each gets base_seed + worker_id; NumPy's, which takes 32-bit words, a sequence made of both,
    so that two loaders with near seeds do not share streams.
    """
    seed = base_seed + worker_id
    manual_seed(seed)
    random.seed(seed)
    words = np.random.SeedSequence([base_seed & (2**64 - 1), worker_id]).generate_state(4)
    np.random.seed(words)
