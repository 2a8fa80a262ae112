"""Getting the samples of a batch out of a dataset, in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from disttorch.tensor import Tensor
from disttorch.utils.data.collate import default_collate, is_table_untouched
from disttorch.utils.data.dataset import Subset, TensorDataset


def fetch_samples(dataset: Any, indices: Any) -> Any:
    """Return the samples at `indices`, through `__getitems__` where the dataset has it.

    Raises RuntimeError for a StopIteration of the dataset, which would end the pass unnoticed.
    """
    fetch_many = getattr(dataset, "__getitems__", None)
    try:
        if callable(fetch_many):
            return fetch_many(indices)
        left = iter(indices)
        try:
            return [dataset[i] for i in left]
        except Exception as error:
            _name_sample(error, indices, left)
            raise
    except StopIteration as stop:
        raise RuntimeError("the dataset raised StopIteration") from stop


def _name_sample(error: Exception, indices: Any, left: Iterator[Any]) -> None:
    """Note on an error which sample raised it: the one before those that are `left`."""
    if hasattr(indices, "__len__"):
        number = len(indices) - len(list(left)) - 1
        error.add_note(f"raised by sample {indices[number]!r} of the dataset")


def tensors_and_rows(dataset: Any, indices: Any) -> tuple[list[np.ndarray], np.ndarray] | None:
    """The arrays of a TensorDataset (or subsets of one) and the rows of them at `indices`.

    Whole batches can be taken from them at once. None for other datasets, for tensors that
    require gradients, and for indices that are no integers or out of range.
    """
    if type(dataset) is Subset and isinstance(indices, list):
        return tensors_and_rows(dataset.dataset, [dataset.indices[i] for i in indices])
    if type(dataset) is not TensorDataset or not isinstance(indices, list) or not indices:
        return None
    arrays = [t._array for t in dataset.tensors]
    if any(t._requires_grad for t in dataset.tensors):
        return None
    rows = np.asarray(indices)
    n = len(dataset)
    if any(type(a) is not np.ndarray for a in arrays) or rows.dtype.kind != "i" or rows.ndim != 1:
        return None
    return (arrays, rows) if rows.min() >= -n and rows.max() < n else None


def take(array: np.ndarray, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The rows of an array, all within its bounds, into `out` if given."""
    # The default mode, "raise", would go through a buffer.
    return np.take(array, rows, 0, out, mode="wrap")


def state_getter(dataset: Any) -> Callable[[], Any] | None:
    """What tells the position of a dataset that can also be given it back; None of others."""
    if not callable(getattr(dataset, "load_state_dict", None)):
        return None
    found: Callable[[], Any] | None = getattr(dataset, "state_dict", None)
    return found


class Position(NamedTuple):
    """Where a worker is in a dataset with a state: that state, and whether its stream has ended.

    A stream may set itself back at its end, for the next pass: its state alone would be a start.
    """

    dataset_state: Any
    ended: bool = False


class MapFetcher:
    """Batches of a map-style dataset: a list of indices is collated, a single index converted."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batched: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batched = batched
        self._state_dict = state_getter(dataset)
        self.by_rows = batched and collate_fn is default_collate and is_table_untouched()

    def position(self) -> Position | None:
        """The state of a dataset that has one, None of others."""
        return Position(self._state_dict()) if self._state_dict is not None else None

    def fetch(self, request: Any) -> Any:
        """Return the batch at several indices, or the sample at one index."""
        if not self.batched:
            return self.collate_fn(self.dataset[request])
        found = tensors_and_rows(self.dataset, request) if self.by_rows else None
        if found is not None:
            return [Tensor._wrap(take(array, found[1])) for array in found[0]]
        return self.collate_fn(fetch_samples(self.dataset, request))


class StreamFetcher:
    """Batches of an iterable dataset; `fetch` takes how many samples, None for one unbatched.

    Nothing is read of a dataset whose pass has `ended` already.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
        ended: bool = False,
    ) -> None:
        self.samples: Iterator[Any] = iter(() if ended else dataset)
        self._state_dict = state_getter(dataset)
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = ended

    def position(self) -> Position | None:
        """Where a stateful dataset is, None of others."""
        if self._state_dict is None:
            return None
        return Position(self._state_dict(), self.ended)

    def skip(self, n_samples: int) -> None:
        """Read samples that were delivered before."""
        for _ in itertools.islice(self.samples, n_samples):
            pass

    def fetch(self, n_samples: int | None) -> Any:
        """Return the next batch; StopIteration when the stream has no (full) batch left."""
        if self.ended:
            raise StopIteration
        n_wanted = 1 if n_samples is None else n_samples
        batch: Sequence[Any] = list(itertools.islice(self.samples, n_wanted))
        self.ended = len(batch) < n_wanted
        if not batch or (self.ended and self.drop_last):
            raise StopIteration
        return self.collate_fn(batch[0] if n_samples is None else batch)
