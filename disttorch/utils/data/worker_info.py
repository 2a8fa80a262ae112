"""What code inside a loader worker can ask about where it runs."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.random import Generator


@dataclass(frozen=True, slots=True)
class WorkerRandom:
    """Generators of a thread worker, which has no global ones of its own."""

    random_generator: random.Random
    torch_generator: Generator
    numpy_generator: np.random.Generator

    @staticmethod
    def seeded(seed: int) -> WorkerRandom:
        """All three, seeded with a worker's seed."""
        generator = Generator()
        generator.manual_seed(seed)
        return WorkerRandom(random.Random(seed), generator, np.random.default_rng(seed))


@dataclass(frozen=True)
class WorkerInfo:
    """A worker's place: `id` of `num_workers`, its `seed`, its copy of the `dataset`.

    Thread workers have generators in `rng`. `rank` of `world_size` and the `epoch`, that is the
    pass of persistent workers, complete the names of PyTorch.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: WorkerRandom | None = None
    worker_method: str | None = "multiprocessing"
    rank: int = 0
    world_size: int = 1
    epoch: int = 0


class _Current(threading.local):
    """Of this thread."""

    info: WorkerInfo | None = None


_current = _Current()
_of_process: list[WorkerInfo] = []


def get_worker_info() -> WorkerInfo | None:
    """Return this worker's `WorkerInfo`, None in the main process.

    All threads of a worker process are the worker.
    """
    if _current.info is not None:
        return _current.info
    return _of_process[-1] if _of_process else None


def set_worker_info(info: WorkerInfo | None) -> None:
    """Set what `get_worker_info` returns in this process; called when a worker starts a pass."""
    _of_process[:] = [] if info is None else [info]


def set_thread_info(info: WorkerInfo) -> None:
    """Set what `get_worker_info` returns in this thread."""
    _current.info = info
