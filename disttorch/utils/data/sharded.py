"""Streams that a loader shares out among its workers and ranks, and can resume with others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from disttorch.utils.data.dataset import IterableDataset
from disttorch.utils.data.distributed import rank_and_size
from disttorch.utils.data.worker_info import get_worker_info


class Consumed(NamedTuple):
    """What earlier readers took: of each of them, the first so many of every n-th sample."""

    n_samples: Sequence[int]  # by reader


class ShardedDataset(IterableDataset[Any]):
    """A stream of which each worker of each rank keeps its share: sample i goes to reader i mod n.

    `stream` is iterated over in every worker and has to yield the same samples in the same order
    there. Every sample is delivered once, also when a loader goes on from a `state_dict` with
    another number of workers or ranks.
    """

    def __init__(self, stream: Iterable[Any]) -> None:
        self.stream = stream
        self.consumed: list[Consumed] = []

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            (rank, world_size), worker, n_workers = rank_and_size(), 0, 1
        else:
            rank, world_size = info.rank, info.world_size
            worker, n_workers = info.id, info.num_workers
        left: Iterable[Any] = self.stream
        for earlier in self.consumed:
            left = _rest(left, earlier)
        n_readers = n_workers * world_size
        return itertools.islice(left, worker * world_size + rank, None, n_readers)

    def __len__(self) -> int:
        """Samples of all workers of this rank."""
        rank, world_size = rank_and_size()
        return len(range(rank, len(self.stream), world_size))  # type: ignore[arg-type]


def _rest(samples: Iterable[Any], consumed: Consumed) -> Iterator[Any]:
    """The samples that earlier readers did not take."""
    n_readers = len(consumed.n_samples)
    for i, sample in enumerate(samples):
        if i // n_readers >= consumed.n_samples[i % n_readers]:
            yield sample


def consumed_by(n_of_worker: dict[int, int], n_workers: int, world_size: int) -> Consumed:
    """What all ranks have taken, each of them as much as this one."""
    return Consumed([n_of_worker.get(w, 0) for w in range(n_workers) for _ in range(world_size)])
