"""How far a pass over a loader has come, and what is needed to go on from there."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from disttorch.comm import counters
from disttorch.random import Generator, default_generator
from disttorch.utils.data.fetch import Position

_TOO_LONG = (
    "Length of IterableDataset {} was reported to be {}"
    "(when accessing len(dataloader)), but {} samples have been fetched. "
)
_TOO_LONG_WITH_WORKERS = (
    "For multiprocessing data-loading, this could be caused by not properly configuring the "
    "IterableDataset replica at each worker. Please see "
    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
)


class Receipt(NamedTuple):
    """Says which batch was delivered: its number, what was asked for, of whom.

    `position` is where a dataset with a state was after the batch.
    """

    number: int
    request: Any
    worker_id: int
    position: Position | None = None


@dataclass
class Promise:
    """How many samples a stream said it has; None as long as it was not asked."""

    dataset: Any
    n_workers: int
    n_samples: int | None = None

    def check(self, n_yielded: int) -> None:
        """Warn when more come."""
        if self.n_samples is not None and n_yielded == self.n_samples + 1:
            text = _TOO_LONG.format(self.dataset, self.n_samples, n_yielded)
            warnings.warn(text + (_TOO_LONG_WITH_WORKERS if self.n_workers else ""), stacklevel=5)


@dataclass
class Progress:
    """What was delivered of a pass that began with `random_state`.

    `n_batches` is how many were delivered without a gap, `ahead` the numbers of those beyond one.
    `index_sampler` says what is asked for, about `batch_rows` samples at a time.
    `n_samples` and `positions` are by worker, the latest position last.
    """

    random_state: dict[str, Any]
    base_seed: int
    drew_seed: bool
    promise: Promise
    index_sampler: Any = ()
    batch_rows: int = 1
    n_batches: int = 0
    ahead: set[int] = field(default_factory=set)
    n_samples: dict[int, int] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)
    turn: int = 0
    finished: bool = False

    def delivered(self, receipt: Receipt) -> None:
        """Count a batch that the user has been given."""
        self.ahead.add(receipt.number)
        while self.n_batches in self.ahead:
            self.ahead.remove(self.n_batches)
            self.n_batches += 1
        worker_id = receipt.worker_id
        n = self.n_samples.get(worker_id, 0) + n_samples_of(receipt.request)
        self.n_samples[worker_id] = n
        self.turn = worker_id + 1
        if receipt.position is not None:
            self.positions.pop(worker_id, None)
            self.positions[worker_id] = receipt.position
        self.promise.check(self.n_batches)

    def ended(self) -> None:
        """Take note that there are no more batches."""
        self.finished = True

    @property
    def total_samples(self) -> int:
        """Samples of all workers."""
        return sum(self.n_samples.values())


def n_samples_of(request: Any) -> int:
    """How many samples a request is for: indices, one index or, of a stream, a number."""
    if isinstance(request, (list, tuple, range)):
        return len(request)
    return request if isinstance(request, int) and not isinstance(request, bool) else 1


def generators_of(generator: Generator | None, sampler: Any) -> dict[str, Generator]:
    """The generators that the order of a pass may depend on, by where they were found."""
    found = {"default": default_generator}
    if generator is not None:
        found["loader"] = generator
    depth = 0
    while sampler is not None:
        if isinstance(getattr(sampler, "generator", None), Generator):
            found[f"sampler{depth}"] = sampler.generator
        sampler, depth = getattr(sampler, "sampler", None), depth + 1
    return found


def random_state(generators: dict[str, Generator]) -> dict[str, Any]:
    """The states of generators, and of Python's and NumPy's global ones, as plain data."""
    kind, words, *rest = np.random.get_state()
    return {
        "generators": {name: g.get_state() for name, g in generators.items()},
        "python": random.getstate(),
        "numpy": [kind, words.tolist(), *rest],
    }


class Rewound:
    """Within it, generators are in an earlier `state`; global ones are put back afterwards.

    A loader's own generators stay: they go on as they did in the interrupted run.
    """

    def __init__(self, generators: dict[str, Generator], state: dict[str, Any]) -> None:
        self._generators = generators
        self._state = state

    def __enter__(self) -> None:
        self._before = random_state({"default": default_generator})
        _set(self._generators, self._state)

    def __exit__(self, *_: object) -> None:
        _set({"default": default_generator}, self._before)


def _set(generators: dict[str, Generator], state: dict[str, Any]) -> None:
    for name, generator in generators.items():
        if name in state["generators"]:
            generator.set_state(state["generators"][name])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, np.asarray(words, np.uint32), *rest))


class BatchIterator:
    """What `iter(loader)` returns: `_next_batch` of a subclass, counted with the wait for it."""

    _progress: Progress

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        asked_ns = time.monotonic_ns()
        batch = self._next_batch()
        counters.batch_came(asked_ns, self._progress.batch_rows)
        return batch

    def __len__(self) -> int:
        """Number of batches of a whole pass; TypeError for streams."""
        return len(self._progress.index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class InProcessIterator(BatchIterator):
    """One pass without workers; `progress` counts its batches."""

    def __init__(
        self,
        fetch: Callable[[Any], Any],
        requests: Iterator[Any],
        position: Callable[[], Position | None],
        progress: Progress,
    ) -> None:
        self._fetch = fetch
        self._requests = requests
        self._position = position
        self._number = progress.n_batches
        self._progress = progress

    def _next_batch(self) -> Any:
        try:
            request = next(self._requests)
            number, self._number = self._number, self._number + 1
            try:
                batch = self._fetch(request)
            except StopIteration:
                raise
            except BaseException:
                self._progress.delivered(Receipt(number, request, 0))
                raise
        except StopIteration:
            self._progress.ended()
            raise
        self._progress.delivered(Receipt(number, request, 0, self._position()))
        return batch
