"""`DataLoader`: batches of a dataset, fetched in this process or by workers."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from disttorch.random import Generator
from disttorch.utils.data.collate import default_collate, default_convert, is_table_untouched
from disttorch.utils.data.dataset import IterableDataset
from disttorch.utils.data.distributed import rank_and_size
from disttorch.utils.data.fetch import MapFetcher, StreamFetcher
from disttorch.utils.data.multiprocess import MultiprocessIterator, Store
from disttorch.utils.data.pool import WorkerPool, checked_context, default_context
from disttorch.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from disttorch.utils.data.seeding import draw_seed
from disttorch.utils.data.shards import is_pipe, share_out, shuffled_pipe
from disttorch.utils.data.worker import WorkerSetup
from disttorch.utils.data.worker_info import get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset(
    ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
)


class _DatasetKind:
    """The two kinds of datasets, by PyTorch's numbers."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(
        kind: int, dataset: Any, auto_collation: bool, collate_fn: Any, drop_last: bool
    ) -> MapFetcher | StreamFetcher:
        """Return what fetches batches (or single samples) of a dataset."""
        if kind == _DatasetKind.Map:
            return MapFetcher(dataset, collate_fn, auto_collation)
        return StreamFetcher(dataset, collate_fn, drop_last)


class _Endless(Sampler[None]):
    """The sampler of a stream, which has an order of its own: None for ever."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Iterates over batches of `dataset`; arguments, defaults and errors are PyTorch's.

    With ``num_workers > 0`` samples are fetched by processes that write them into a fixed ring of
    shared-memory slots; with the default `collate_fn` the samples of each batch are spread over
    all workers. The tensors of a batch are views of its slot, which is reused when they die; order
    is that of the sampler. A killed worker is replaced and its samples fetched again.
    `timeout` is in seconds, 0 for none.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.multiprocessing_context = multiprocessing_context
        self._stream = isinstance(dataset, IterableDataset)
        if self._stream and is_pipe(dataset):
            self.dataset = shuffled_pipe(dataset, shuffle)
            _check_stream(None, sampler, batch_sampler)
        elif self._stream:
            _check_stream(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        self.sampler: Any = sampler if sampler is not None else self._default_sampler(shuffle)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        self.batch_sampler: Any = batch_sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        default = default_convert if batch_sampler is None else default_collate
        self.collate_fn = default if collate_fn is None else collate_fn
        self._kept: list[Store] = []
        self._iterator: MultiprocessIterator | None = None

    def _default_sampler(self, shuffle: bool | None) -> Any:
        if self._stream:
            return _Endless()
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    @property
    def _dataset_kind(self) -> int:
        return _DatasetKind.Iterable if self._stream else _DatasetKind.Map

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    @property
    def makes_batches_by_rows(self) -> bool:
        """Whether the samples of a batch may be spread over several workers."""
        return (
            not self._stream
            and self.batch_sampler is not None
            and self.collate_fn is default_collate
            and is_table_untouched()
        )

    def _requests(self) -> Iterator[Any]:
        """What fetchers are asked for: lists of indices, single ones, or numbers of samples."""
        if self._stream:
            return itertools.repeat(self.batch_size)
        return iter(self._index_sampler)

    def __iter__(self) -> Iterator[Any]:
        if self._iterator is not None and not self._iterator.closed:
            self._iterator.restart(self._requests())
            return self._iterator
        requests = self._requests()
        base_seed = draw_seed(self.generator)
        if self.num_workers == 0:
            return self._in_process(requests)
        iterator = self._with_workers(requests, base_seed)
        if self.persistent_workers:
            self._iterator = iterator
            weakref.finalize(self, iterator.close)
        return iterator

    def _in_process(self, requests: Iterator[Any]) -> Iterator[Any]:
        if is_pipe(self.dataset):
            share_out(self.dataset, 0, 1, *rank_and_size())
        if self._stream:
            stream = StreamFetcher(self.dataset, self.collate_fn, self.drop_last)
            return map(stream.fetch, requests)
        batched = self.batch_sampler is not None
        return map(MapFetcher(self.dataset, self.collate_fn, batched).fetch, requests)

    def _with_workers(self, requests: Iterator[Any], base_seed: int) -> MultiprocessIterator:
        rank, world_size = rank_and_size()
        setup = WorkerSetup(
            num_workers=self.num_workers,
            base_seed=base_seed,
            dataset=self.dataset,
            collate_fn=self.collate_fn,
            worker_init_fn=self.worker_init_fn,
            by_rows=self.makes_batches_by_rows,
            batched=self.batch_sampler is not None,
            stream=self._stream,
            drop_last=self.drop_last,
            rank=rank,
            world_size=world_size,
        )
        return MultiprocessIterator(
            WorkerPool(setup, self.multiprocessing_context or default_context()),
            requests,
            by_rows=setup.by_rows,
            batch_rows=self.batch_size or 0,
            prefetch_factor=self.prefetch_factor or 1,
            timeout_s=self.timeout,
            in_order=self.in_order,
            persistent=self.persistent_workers,
            kept=self._kept,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_iterator": None, "_kept": []}  # copies have workers of their own

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_iterator" in self.__dict__:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        if name == "multiprocessing_context" and value is not None:
            value = checked_context(value, self.num_workers)
        super().__setattr__(name, value)

    def __len__(self) -> int:
        """Number of batches of a pass; TypeError for a stream of unknown length."""
        if self._stream:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self._index_sampler)


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    """Refuse worker settings that make no sense, with PyTorch's texts."""
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 "
            "to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_stream(shuffle: bool | None, sampler: Any, batch_sampler: Any) -> None:
    """Refuse to choose an order for a dataset that has its own."""
    if shuffle not in {False, None}:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified shuffle option, but got "
            f"shuffle={shuffle}"
        )
    for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                f"{name}={value}"
            )
