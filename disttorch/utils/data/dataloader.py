"""`DataLoader`: batches of a dataset, fetched in this process or by workers."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, TypeVar

from disttorch.random import Generator
from disttorch.utils.data.collate import default_collate, default_convert, is_table_untouched
from disttorch.utils.data.dataset import IterableDataset
from disttorch.utils.data.distributed import rank_and_size
from disttorch.utils.data.fetch import MapFetcher, StreamFetcher, state_getter
from disttorch.utils.data.inspection import warn_of_trouble
from disttorch.utils.data.multiprocess import MultiprocessIterator
from disttorch.utils.data.pinning import PinningIterator, pin, pinning_backend
from disttorch.utils.data.pool import WorkerPool, checked_context
from disttorch.utils.data.progress import (
    BatchIterator,
    InProcessIterator,
    Progress,
    Promise,
    generators_of,
    random_state,
)
from disttorch.utils.data.resume import Plan, Share, plan_of, state_of
from disttorch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)
from disttorch.utils.data.seeding import draw_seed
from disttorch.utils.data.sharded import ShardedDataset
from disttorch.utils.data.shards import is_pipe, share_out, shuffled_pipe
from disttorch.utils.data.start_method import choose_start
from disttorch.utils.data.store import Store
from disttorch.utils.data.thread_pool import ThreadPool
from disttorch.utils.data.worker import WorkerSetup
from disttorch.utils.data.worker_info import get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_BaseDataLoaderIter = BatchIterator
_SingleProcessDataLoaderIter = InProcessIterator
_MultiProcessingDataLoaderIter = MultiprocessIterator

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset(
    ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
)
_READ_AT_ONCE = frozenset((SequentialSampler, RandomSampler, SubsetRandomSampler))


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

    ``worker_method="thread"`` fetches by threads instead, which share the dataset and the global
    random generators. `state_dict` in the middle of a pass says how to go on from there.
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
        worker_method: str = "multiprocessing",
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_method(worker_method)
        self.worker_method = worker_method
        self.num_workers = num_workers
        self._has_default_prefetch = prefetch_factor is None
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
            dataset, shuffle = shuffled_pipe(dataset, shuffle), None
        if self._stream:
            _check_stream(shuffle, sampler, batch_sampler)
        self.dataset = dataset
        batch_size, drop_last = _checked_batches(
            batch_size, shuffle, sampler, batch_sampler, drop_last
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
        self._promise = Promise(self.dataset, num_workers)
        self._progress = Progress({}, 0, False, self._promise, finished=True)
        self._plan: Plan | None = None
        self._inspected = False
        self._iterator: Any = None

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
        """Whether the samples of a batch may be spread over several workers.

        Not those of a dataset with a state, which is known after a batch of one worker.
        """
        return (
            not self._stream
            and self.batch_sampler is not None
            and self.collate_fn is default_collate
            and is_table_untouched()
            and self.worker_method != "thread"
            and state_getter(self.dataset) is None
        )

    @property
    def _looks_further(self) -> bool:
        """Whether more than `prefetch_factor` small batches may be made ahead.

        Not where the user has set it, nor with a sampler that might see how far it was read.
        """
        return (
            self._has_default_prefetch
            and self.makes_batches_by_rows
            and type(self.batch_sampler) is BatchSampler
            and type(self.sampler) in _READ_AT_ONCE
            and not getattr(self.sampler, "replacement", False)
        )

    def _requests(self) -> Iterator[Any]:
        """What fetchers are asked for: lists of indices, single ones, or numbers of samples."""
        if self._stream:
            return itertools.repeat(self.batch_size)
        return iter(self._index_sampler)

    def __iter__(self) -> Iterator[Any]:
        self._check_pass()
        plan, self._plan = self._plan, None
        generators = generators_of(self.generator, self._index_sampler)
        with plan.rewound(generators) if plan is not None else contextlib.nullcontext():
            return self._begin(random_state(generators), plan)

    def _begin(self, state: dict[str, Any], plan: Plan | None) -> Iterator[Any]:
        """Start a pass, from generators in this `state`; with a plan, where another stopped."""
        running = self._iterator is not None and not self._iterator.closed
        requests = self._requests()
        # A pass that goes on draws what the one before it drew.
        draws = plan.drew_seed if plan is not None else not running
        base_seed = draw_seed(self.generator) if draws else self._progress.base_seed
        if plan is not None:
            base_seed = plan.state["base_seed"]
        self._progress = Progress(
            state, base_seed, draws, self._promise, self._index_sampler, self.batch_size or 1
        )
        if plan is not None:
            requests = plan.skip(self, requests, self._progress)
        elif isinstance(self.dataset, ShardedDataset):
            self.dataset.consumed = []
        if self.num_workers == 0:
            iterator: Any = self._in_process(requests, plan)
        elif running:
            assert self._iterator is not None
            self._iterator.restart(requests, self._progress)
            iterator = self._iterator
        else:
            iterator = self._with_workers(requests, base_seed, plan)
            if self.persistent_workers:
                self._iterator = iterator
                _lasting.add(iterator)
                # It may be in use still: `for batch in DataLoader(...)`.
                weakref.finalize(self, iterator.end_with_the_pass).atexit = False
        return iterator

    def _check_pass(self) -> None:
        """Refuse what cannot be iterated over, and warn of what will not be done."""
        if self.num_workers == 0 and self.timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        if self.num_workers > 0 and not self.prefetch_factor:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        if self.pin_memory_device:
            warnings.warn(
                "pin_memory_device is deprecated, the current accelerator will be used as the "
                f"device,ignore pin_memory_device='{self.pin_memory_device}'.",
                stacklevel=3,
            )
        if self.pin_memory and pinning_backend() is None:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=3,
            )

    def _in_process(self, requests: Iterator[Any], plan: Plan | None) -> Iterator[Any]:
        if is_pipe(self.dataset):
            share_out(self.dataset, 0, 1, *rank_and_size())
        share = plan.shares[0] if plan is not None else Share()
        share.prepare(self.dataset)
        fetcher: MapFetcher | StreamFetcher
        if self._stream:
            fetcher = StreamFetcher(self.dataset, self.collate_fn, self.drop_last, share.ended)
            fetcher.skip(share.n_samples)
        else:
            fetcher = MapFetcher(self.dataset, self.collate_fn, self._auto_collation)
        fetch = fetcher.fetch
        if self.pin_memory and (backend := pinning_backend()) is not None:
            fetch = _then_pin(fetch, backend)
        return InProcessIterator(fetch, requests, fetcher.position, self._progress)

    def _with_workers(self, requests: Iterator[Any], base_seed: int, plan: Plan | None) -> Any:
        rank, world_size = rank_and_size()
        if not self._inspected and self.worker_method != "thread":
            self._inspected = True
            warn_of_trouble(self.dataset)
        setup = WorkerSetup(
            num_workers=self.num_workers,
            base_seed=base_seed,
            dataset=self.dataset,
            collate_fn=self.collate_fn,
            worker_init_fn=self.worker_init_fn,
            by_rows=self.makes_batches_by_rows,
            batched=self._auto_collation,
            stream=self._stream,
            drop_last=self.drop_last,
            rank=rank,
            world_size=world_size,
            shares=plan.shares if plan is not None else None,
        )
        if plan is not None and self.worker_method == "thread" and not self._stream:
            plan.shares[0].prepare(self.dataset)  # once: threads share it
            setup = replace(setup, shares=None)
        pool: Any = (
            ThreadPool(setup)
            if self.worker_method == "thread"
            else WorkerPool(setup, choose_start(self.multiprocessing_context))
        )

        def make(progress: Any) -> MultiprocessIterator:
            return MultiprocessIterator(
                pool,
                requests,
                by_rows=setup.by_rows,
                batch_rows=self.batch_size or 0,
                prefetch_factor=self.prefetch_factor or 1,
                looks_further=self._looks_further,
                timeout_s=self.timeout,
                in_order=self.in_order,
                persistent=self.persistent_workers,
                kept=self._kept,
                progress=progress,
            )

        backend = pinning_backend() if self.pin_memory else None
        progress = self._progress
        return make(progress) if backend is None else PinningIterator(make, backend, progress)

    def state_dict(self) -> dict[str, Any]:
        """Where the current pass is, as plain data: for `load_state_dict` of a like loader.

        Batches that workers have made ahead but that were not delivered are not counted. Another
        number of workers, batch size or (with `DistributedSampler` or `ShardedDataset`) number of
        ranks may go on from it; the other ranks are taken to be as far as this one.
        """
        return state_of(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass go on where `state_dict` was taken; a finished pass begins anew.

        Raises ValueError for a state that this loader cannot go on from.
        """
        if self._iterator is not None:
            self._iterator.close()  # its workers are elsewhere in their streams
        self._plan = plan_of(self, state_dict)

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
            n = self._promise.n_samples = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self._index_sampler)


_lasting: weakref.WeakSet[Any] = weakref.WeakSet()


@atexit.register
def _close_lasting() -> None:
    """Let persistent workers end in order, before the interpreter does."""
    for iterator in list(_lasting):
        iterator.close()


def _then_pin(fetch: Callable[[Any], Any], backend: Any) -> Callable[[Any], Any]:
    return lambda request: pin(fetch(request), backend)


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


def _check_method(worker_method: str) -> None:
    if worker_method not in {"multiprocessing", "thread"}:
        raise ValueError(
            "worker_method should be 'multiprocessing' or 'thread', but got "
            f"worker_method={worker_method!r}"
        )


def _checked_batches(
    batch_size: int | None, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> tuple[int | None, bool]:
    """`batch_size` and `drop_last` in force; ValueError where they exclude each other."""
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                "and drop_last"
            )
        return None, False
    if batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )
    return batch_size, drop_last


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
