"""PyTorch's path of what gets batches out of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.utils.data.fetch import MapFetcher, StreamFetcher


class _MapDatasetFetcher(MapFetcher):
    """`MapFetcher` with PyTorch's arguments."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        super().__init__(dataset, collate_fn, auto_collation)
        self.auto_collation = auto_collation
        self.drop_last = drop_last


class _IterableDatasetFetcher(StreamFetcher):
    """`StreamFetcher` with PyTorch's arguments; what is fetched may be a list of placeholders."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        super().__init__(dataset, collate_fn, drop_last)
        self.auto_collation = auto_collation

    def fetch(self, possibly_batched_index: Any) -> Any:
        """Return the next batch, of as many samples as there are placeholders."""
        if not self.auto_collation:
            return super().fetch(None)
        return super().fetch(len(possibly_batched_index))
