"""`DistributedSampler`: each rank visits its share of a dataset."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

import numpy as np

from disttorch.ops.create_random import randperm
from disttorch.random import Generator, default_generator
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

    ``sampler=`` shares out what another sampler yields, a weighted one for instance: every rank
    draws the whole of it with the same random numbers, whatever its generators hold otherwise.
    """

    def __init__(
        self,
        dataset: Sized | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        *,
        pad: bool = True,
        sampler: Iterable[Any] | None = None,
    ) -> None:
        if dataset is None and sampler is None:
            raise TypeError(
                "DistributedSampler.__init__() missing 1 required positional argument: 'dataset'"
            )
        self.rank, self.num_replicas = rank_and_size(num_replicas, rank)
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.pad = pad
        self.sampler = sampler
        self.epoch = 0
        self._start = 0  # places of the order before it were visited, by whichever ranks
        self._resumed: int | None = None

    def _share(self, n_all: int) -> range:
        """Places in the order of `n_all` indices that are this rank's; beyond the end: repeats."""
        n, size = n_all, self.num_replicas
        if self.drop_last:
            n = n // size * size
        elif self.pad:
            n = -(-n // size) * size
        return range(self.rank, n, size)

    @property
    def _n_all(self) -> int:
        return len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]

    @property
    def total_size(self) -> int:
        """How many indices all ranks visit together."""
        return self._share(self._n_all).stop

    @property
    def num_samples(self) -> int:
        """How many indices this rank visits."""
        return len(self._share(self._n_all))

    def _order(self) -> list[Any]:
        if self.sampler is not None:
            with same_draws(self.sampler, self.seed + self.epoch):
                return list(self.sampler)
        n = len(self.dataset)  # type: ignore[arg-type]
        if not self.shuffle:
            return list(range(n))
        generator = Generator()
        generator.manual_seed(self.seed + self.epoch)
        return randperm(n, generator=generator).tolist()

    def __iter__(self) -> Iterator[Any]:
        self._start, self._resumed = self._resumed or 0, None
        order = self._order()
        n = len(order)
        left = n - self._start
        return iter([order[(self._start + i) % n] for i in self._share(max(0, left))])

    def __len__(self) -> int:
        return self.num_samples

    def state_after(self, n_samples: int) -> dict[str, int]:
        """The state after a pass in which every rank has been given `n_samples` so far."""
        visited = self._start + n_samples * self.num_replicas
        return {"seed": self.seed, "epoch": self.epoch, "visited": visited}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let the next pass go on after the indices that were visited, by any number of ranks."""
        self.seed, self.epoch = state_dict["seed"], state_dict["epoch"]
        self._resumed = state_dict["visited"]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch


@contextlib.contextmanager
def same_draws(sampler: Any, seed: int) -> Iterator[None]:
    """Within it, a sampler draws what `seed` says: from its own generators, or the global ones.

    All are put back afterwards.
    """
    own = []
    while sampler is not None:
        if isinstance(getattr(sampler, "generator", None), Generator):
            own.append(sampler.generator)
        sampler = getattr(sampler, "sampler", None)
    generators = [default_generator, *own]
    states = [g.get_state() for g in generators], random.getstate(), np.random.get_state()
    try:
        for generator in generators:
            generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        for generator, state in zip(generators, states[0], strict=True):
            generator.set_state(state)
        random.setstate(states[1])
        np.random.set_state(states[2])
