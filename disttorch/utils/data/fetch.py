"""Getting the samples of a batch out of a dataset, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any


def fetch_samples(dataset: Any, indices: Any) -> Any:
    """Return the samples at `indices`, through `__getitems__` where the dataset has it.

    Raises RuntimeError for a StopIteration of the dataset, which would end the pass unnoticed.
    """
    fetch_many = getattr(dataset, "__getitems__", None)
    try:
        if callable(fetch_many):
            return fetch_many(indices)
        return [dataset[i] for i in indices]
    except StopIteration as stop:
        raise RuntimeError("the dataset raised StopIteration") from stop


class MapFetcher:
    """Batches of a map-style dataset: a list of indices is collated, a single index converted."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batched: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batched = batched

    def fetch(self, request: Any) -> Any:
        """Return the batch at several indices, or the sample at one index."""
        if self.batched:
            return self.collate_fn(fetch_samples(self.dataset, request))
        return self.collate_fn(self.dataset[request])


class StreamFetcher:
    """Batches of an iterable dataset; `fetch` takes how many samples, None for one unbatched."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.samples: Iterator[Any] = iter(dataset)
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, n_samples: int | None) -> Any:
        """Return the next batch; StopIteration when the stream has no (full) batch left."""
        if self.ended:
            raise StopIteration
        if n_samples is None:
            return self.collate_fn(next(self.samples))
        batch = list(itertools.islice(self.samples, n_samples))
        self.ended = len(batch) < n_samples
        if not batch or (self.ended and self.drop_last):
            raise StopIteration
        return self.collate_fn(batch)
