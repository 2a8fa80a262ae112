"""Getting the samples of a batch out of a dataset, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any


def fetch_samples(dataset: Any, indices: list[Any]) -> list[Any]:
    """Return the samples at `indices`, through `__getitems__` where the dataset has it."""
    fetch_many = getattr(dataset, "__getitems__", None)
    if callable(fetch_many):
        samples: list[Any] = fetch_many(indices)
        return samples
    return [dataset[i] for i in indices]


class MapFetcher:
    """Batches of a map-style dataset: a list of indices is collated, a single index converted."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any]) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn

    def fetch(self, indices: Any) -> Any:
        """Return the batch at a list of indices, or the sample at one index."""
        if isinstance(indices, list):
            return self.collate_fn(fetch_samples(self.dataset, indices))
        return self.collate_fn(self.dataset[indices])


class StreamFetcher:
    """Batches of an iterable dataset; `fetch` takes how many samples, None for one unbatched."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.samples: Iterator[Any] = iter(dataset)
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, n_samples: int | None) -> Any:
        """Return the next batch; StopIteration when the stream has no (full) batch left."""
        if n_samples is None:
            return self.collate_fn(next(self.samples))
        batch = list(itertools.islice(self.samples, n_samples))
        if not batch or (len(batch) < n_samples and self.drop_last):
            raise StopIteration
        return self.collate_fn(batch)
