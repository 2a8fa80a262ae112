"""`DistributedSampler`: each rank visits its share of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sized
from typing import Any, TypeVar

from disttorch.ops.create_random import randperm
from disttorch.random import Generator
from disttorch.utils.data.sampler import Sampler

T_co = TypeVar("T_co", covariant=True)


def rank_and_size(num_replicas: int | None = None, rank: int | None = None) -> tuple[int, int]:
    """Rank and number of ranks: as given, else of the process group, else of the launcher."""
    if num_replicas is None or rank is None:
        from disttorch import distributed  # noqa: PLC0415 - samplers work without a group

        if distributed.is_initialized():
            size, own = distributed.get_world_size(), distributed.get_rank()
        else:
            size = int(os.environ.get("WORLD_SIZE", "1"))
            own = int(os.environ.get("RANK", "0"))
        num_replicas = size if num_replicas is None else num_replicas
        rank = own if rank is None else rank
    if not 0 <= rank < num_replicas:
        raise ValueError(
            f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
        )
    return rank, num_replicas


class DistributedSampler(Sampler[Any]):
    """Indices rank, rank + N, rank + 2N... of one order that all ranks share.

    The order is a pure function of (seed, epoch): call `set_epoch` before each epoch, as in
    PyTorch, to have it change. Without `drop_last` the shares are made equal by repeating some
    samples; ``pad=False`` leaves them unequal instead, which is right for evaluation.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        *,
        pad: bool = True,
    ) -> None:
        self.rank, self.num_replicas = rank_and_size(num_replicas, rank)
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.pad = pad
        self.epoch = 0

    @property
    def total_size(self) -> int:
        """How many indices all ranks visit together."""
        n = len(self.dataset)
        if self.drop_last:
            return n // self.num_replicas * self.num_replicas
        return -(-n // self.num_replicas) * self.num_replicas if self.pad else n

    @property
    def num_samples(self) -> int:
        """How many indices this rank visits."""
        return len(range(self.rank, self.total_size, self.num_replicas))

    def __iter__(self) -> Iterator[int]:
        indices = list(range(len(self.dataset)))
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = randperm(len(indices), generator=generator).tolist()
        missing = self.total_size - len(indices)
        if missing > 0 and indices:
            repeats = -(-missing // len(indices))
            indices += (indices * repeats)[:missing]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch
