"""Datasets: maps from an index to a sample, and streams of samples."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from disttorch.ops.create_random import randperm
from disttorch.random import Generator, default_generator
from disttorch.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)

_FORMER_NAMES = ("data_tensor", "target_tensor")


class Dataset(Generic[T_co]):
    """A map from index to sample: override `__getitem__`, and `__len__` where it is known.

    `__getitems__(indices)`, if defined, fetches several samples at once.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: override `__iter__`. With workers, each iterates a copy of its own."""

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples are the rows of tensors with the same length of the first dimension.

    `data_tensor` and `target_tensor` are the names that PyTorch's first releases gave to two.
    Raises AssertionError if the lengths differ, TypeError for no tensors.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor, **named: Tensor) -> None:
        tensors += tuple(named.pop(name) for name in _FORMER_NAMES[len(tensors) :] if name in named)
        if named:
            raise TypeError(
                f"TensorDataset.__init__() got an unexpected keyword argument '{next(iter(named))}'"
            )
        if any(t.shape[0] != tensors[0].shape[0] for t in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(_row(t, index) for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    @property
    def data_tensor(self) -> Tensor:
        """The first tensor."""
        return self.tensors[0]

    @property
    def target_tensor(self) -> Tensor:
        """The second tensor; IndexError if there is none."""
        return self.tensors[1]


def _row(tensor: Tensor, index: Any) -> Any:
    """``tensor[index]``; quicker for what loaders ask for."""
    if type(index) is not int or tensor._requires_grad:
        return tensor[index]
    try:
        row = Tensor._wrap(tensor._array[index, ...])
    except IndexError:
        return tensor[index]  # raises with PyTorch's text
    row._cell = tensor._cell
    return row


class StackDataset(Dataset[Any]):
    """Samples put together from several datasets: a tuple or, from keywords, a dict."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or"
                "``dict``- (via ``kwargs``) like input/output, but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets: Any = args or kwargs
        lengths = {len(d) for d in (args or kwargs.values())}
        if len(lengths) > 1:
            raise ValueError("Size mismatch between datasets")
        self._length = lengths.pop()

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Fetch several samples, at once where the datasets can.

        Raises ValueError when a dataset returns another number of samples.
        """
        if isinstance(self.datasets, dict):
            columns = [_fetch_all(d, indices) for d in self.datasets.values()]
            names = list(self.datasets)
            return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return list(zip(*(_fetch_all(d, indices) for d in self.datasets), strict=True))

    def __len__(self) -> int:
        return self._length


def _fetch_all(dataset: Any, indices: list[int]) -> list[Any]:
    fetch_many = getattr(dataset, "__getitems__", None)
    if not callable(fetch_many):
        return [dataset[i] for i in indices]
    items = fetch_many(indices)
    if len(items) != len(indices):
        raise ValueError(
            f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}"
        )
    return items


class ConcatDataset(Dataset[T_co]):
    """Several datasets one after the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Where each dataset ends."""
        return list(itertools.accumulate(len(d) for d in sequence))

    @property
    def cummulative_sizes(self) -> list[int]:
        """The former spelling of `cumulative_sizes`."""
        warnings.warn(
            "`cummulative_sizes` attribute is renamed to `cumulative_sizes`",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.cumulative_sizes

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]


class ChainDataset(IterableDataset[Any]):
    """Several streams one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield from dataset

    def __len__(self) -> int:
        total = 0
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            total += len(dataset)  # type: ignore[arg-type]
        return total


class Subset(Dataset[T_co]):
    """The samples of a dataset at some indices."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """Fetch several samples, at once where the dataset can."""
        if type(self).__getitem__ is not Subset.__getitem__:
            return [self[i] for i in indices]  # a subclass has its own way
        at = [self.indices[i] for i in indices]
        fetch_many = getattr(self.dataset, "__getitems__", None)
        return fetch_many(at) if callable(fetch_many) else [self.dataset[i] for i in at]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[int | float],
    generator: Generator | None = default_generator,
) -> list[Subset[T_co]]:
    """Split a dataset at random into subsets of the given lengths, or fractions that sum to 1.

    Raises ValueError when the lengths do not sum to that of the dataset.
    """
    n = len(dataset)  # type: ignore[arg-type]
    sizes = list(lengths)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1")
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
        for i, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.",
                    stacklevel=2,
                )
    if sum(sizes) != n:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    indices = randperm(n, generator=generator).tolist()
    ends = itertools.accumulate(int(size) for size in sizes)
    return [
        Subset(dataset, indices[end - int(size) : end])
        for end, size in zip(ends, sizes, strict=True)
    ]
