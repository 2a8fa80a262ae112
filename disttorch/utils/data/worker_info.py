"""What code inside a loader worker can ask about where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerInfo:
    """A worker's place: `id` of `num_workers`, its `seed`, its copy of the `dataset`, its rank."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rank: int = 0
    world_size: int = 1


class _Current:
    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return this worker's `WorkerInfo`, None in the main process."""
    return _Current.info


def set_worker_info(info: WorkerInfo) -> None:
    """Set what `get_worker_info` returns; called once when a worker starts."""
    _Current.info = info
