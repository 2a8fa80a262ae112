"""The worker process: takes tasks from its channel, puts batches (or rows of one) into slots."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from disttorch.backends.cpu.threads import set_num_threads
from disttorch.comm.errors import SharedMemoryError
from disttorch.utils.data.channel import WorkerEnd, close_inherited
from disttorch.utils.data.fetch import MapFetcher, StreamFetcher, fetch_samples, tensors_and_rows
from disttorch.utils.data.messages import (
    Exhausted,
    Failed,
    NewEpoch,
    Rows,
    Sized,
    Task,
    UseRing,
    Whole,
    failed,
)
from disttorch.utils.data.resume import Share
from disttorch.utils.data.ring import RingWriter, aligned
from disttorch.utils.data.rows import Layout, Leaf, RowCollate
from disttorch.utils.data.seeding import seed_worker, worker_seed
from disttorch.utils.data.sharded import ShardedDataset
from disttorch.utils.data.shards import share_out
from disttorch.utils.data.worker_info import WorkerInfo, set_worker_info

_PR_SET_PDEATHSIG = 1


_GONE = (EOFError, BrokenPipeError, ConnectionResetError)


class _LoaderGone(BaseException):
    """The loader closed the channel while a batch was made; not an error of the dataset."""


@dataclass(frozen=True)
class WorkerSetup:
    """All that the workers of a pool are started with."""

    num_workers: int
    base_seed: int
    dataset: Any
    collate_fn: Callable[[Any], Any]
    worker_init_fn: Callable[[int], None] | None
    by_rows: bool  # rows of one batch from several workers, default collate
    batched: bool  # tasks are batches, not single samples
    stream: bool  # iterable dataset
    drop_last: bool
    rank: int
    world_size: int
    shares: Sequence[Share] | None = None  # of the first pass, by worker


class Place(NamedTuple):
    """Which worker of the pool one is, and where it begins: with this pass, after that `share`."""

    worker_id: int
    epoch: int
    share: Share | None


def run_worker(
    setup: WorkerSetup, place: Place, end: socket.socket, loader_pid: int | None
) -> None:
    """Serve tasks until the loader closes the channel.

    `loader_pid` is given where the worker's life may be tied to the loader's by the kernel.
    """
    close_inherited()
    _reset_signals()
    if loader_pid is not None:
        _die_with(loader_pid)
    set_num_threads(1)
    channel = WorkerEnd(end)
    try:
        _Worker(setup, place, channel).serve()
    except (*_GONE, _LoaderGone):
        channel.close()  # the loader has gone, or wants no more


def make_fetcher(
    setup: WorkerSetup, worker_id: int, first: bool, epoch: int, share: Share | None
) -> MapFetcher | StreamFetcher:
    """Prepare the dataset for a pass (the worker's `first` one) and return what fetches from it.

    `share` is what has been delivered of the pass already.
    """
    dataset = setup.dataset
    share_out(dataset, worker_id, setup.num_workers, setup.rank, setup.world_size)
    if first and setup.worker_init_fn is not None:
        setup.worker_init_fn(worker_id)
    if epoch > 0 and isinstance(dataset, ShardedDataset):
        dataset.consumed = []
    if share is not None:
        share.prepare(dataset)
    if not setup.stream:
        return MapFetcher(dataset, setup.collate_fn, setup.batched)
    ended = share is not None and share.ended
    fetcher = StreamFetcher(dataset, setup.collate_fn, setup.drop_last, ended)
    if share is not None:
        fetcher.skip(share.n_samples)
    return fetcher


def _reset_signals() -> None:
    """Undo what a forked worker has of the loader's handlers; Ctrl-C is the loader's to handle."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _die_with(loader_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != loader_pid:
            os._exit(1)


class _Worker:
    """What a worker does with each message."""

    def __init__(self, setup: WorkerSetup, place: Place, channel: WorkerEnd) -> None:
        self.setup = setup
        self.worker_id = place.worker_id
        self.share = place.share
        self.channel = channel
        self.put_off: deque[Any] = deque()  # read while waiting for the ring
        self.ring: RingWriter | None = None
        self.ring_known = False
        self.stage = 0
        self.layout: Layout | None = None
        self.collate_rows = RowCollate()
        self.fetcher: Any = None
        self._start(place.epoch)

    def _start(self, epoch: int) -> None:
        setup = self.setup
        self.start_failure: tuple[BaseException, str] | None = None
        seed = worker_seed(setup.base_seed, self.worker_id, epoch, setup.rank)
        seed_worker(seed, self.worker_id)
        set_worker_info(
            WorkerInfo(
                *(self.worker_id, setup.num_workers, seed, setup.dataset),
                *(None, "multiprocessing", setup.rank, setup.world_size, epoch),
            )
        )
        try:
            first = self.fetcher is None
            share, self.share = self.share, None
            self.fetcher = make_fetcher(setup, self.worker_id, first, epoch, share)
        except Exception as error:  # a user's code; the answer to each task
            self.start_failure = (error, traceback.format_exc())

    def serve(self) -> None:
        """Answer tasks; EOFError or BrokenPipeError when the loader has gone."""
        while True:
            message = self.put_off.popleft() if self.put_off else self.channel.receive()
            if type(message) is Task:
                self._put_answer(message)
                self.channel.flush_soon()
            elif type(message) is UseRing:
                self._use_ring(message)
            else:
                assert type(message) is NewEpoch
                self._start(message.epoch)

    def _put_answer(self, task: Task) -> None:
        try:
            self.channel.put(self._answer(task))
        except Exception as error:  # a user's object may refuse to be pickled in any way
            self.channel.put(self._failed(task, error, traceback.format_exc()))

    def _use_ring(self, message: UseRing) -> None:
        self.ring_known = True
        self.layout = message.layout
        self.stage = message.stage
        self.ring = None
        if message.address is not None:
            try:
                self.ring = RingWriter(message.address)
            except SharedMemoryError as error:
                warnings.warn(
                    f"DataLoader worker {self.worker_id} sends batches through its socket, which "
                    f"is slower: {error}",
                    stacklevel=1,
                )

    def _await_ring(self, size: Sized) -> None:
        """Tell the loader how large batches are and wait for the slots."""
        self.channel.put(size)
        while not self.ring_known:
            try:
                message = self.channel.receive()
            except _GONE as error:
                raise _LoaderGone from error
            if type(message) is UseRing:
                self._use_ring(message)
            else:
                self.put_off.append(message)

    def _answer(self, task: Task) -> Any:
        if self.start_failure is not None:
            return self._failed(task, *self.start_failure)
        try:
            if self.setup.by_rows and not task.whole:
                return self._rows(task)
            return self._whole(task)
        except StopIteration as stop:
            if self.setup.stream:
                return Exhausted(task.batch, task.part, self.fetcher.position())
            return self._failed(task, stop, traceback.format_exc())
        except Exception as error:  # a user's dataset; the main process raises it
            return self._failed(task, error, traceback.format_exc())

    def _failed(self, task: Task, error: BaseException, text: str) -> Failed:
        return failed(task, self.worker_id, self.setup.stream, error, text)

    def _rows(self, task: Task) -> Rows:
        """Fetch some rows of a batch and write them where the batch is put together."""
        collate_rows = self.collate_rows
        found = tensors_and_rows(self.setup.dataset, task.indices)
        if found is None:
            samples = fetch_samples(self.setup.dataset, task.indices)
            n_rows = len(samples)
            if not self.ring_known and n_rows:
                self._await_rows(collate_rows([samples[0]], None))
            structure = collate_rows(samples, self._destination(task, n_rows))
        else:
            sources, rows = found
            n_rows = len(rows)
            if not self.ring_known:
                self._await_rows(collate_rows.take(sources, rows[:1], None))
            structure = collate_rows.take(sources, rows, self._destination(task, n_rows))
        if self.layout is not None and structure == self.layout.structure:
            structure = None
        arrays = None if collate_rows.in_place else collate_rows.arrays
        return Rows(task.batch, task.part, n_rows, structure, arrays, self.stage)

    def _await_rows(self, structure: Any) -> None:
        """Tell the loader what one sample is made of, if arrays, and wait for the slots."""
        leaves = tuple(Leaf(a.shape[1:], a.dtype) for a in self.collate_rows.arrays)
        if leaves:
            self._await_ring(Sized(leaves, structure, 0))

    def _destination(self, task: Task, n_rows: int) -> list[np.ndarray] | None:
        """The rows of the slot that a task is for; None where they do not fit."""
        layout = self.layout
        if self.ring is None or layout is None or n_rows != len(task.indices):
            return None
        if task.first_row + n_rows > layout.n_rows:
            return None
        arrays = layout.arrays(self.ring.slot(task.slot), task.first_row, n_rows)
        self.ring.map_pages(task.slot, arrays)
        return arrays

    def _whole(self, task: Task) -> Whole:
        """Make a whole batch; its arrays go to the slot as pickle's out-of-band buffers."""
        batch = self.fetcher.fetch(task.indices)
        position = self.fetcher.position()
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(batch, protocol=5, buffer_callback=buffers.append)
        raw = [b.raw() for b in buffers]
        sizes = tuple(r.nbytes for r in raw)
        nbytes = sum(map(aligned, sizes))
        if not self.ring_known and nbytes:
            self._await_ring(Sized(None, None, nbytes))
        if self.ring is None or nbytes > self.ring.slot_nbytes:
            return Whole(
                *(task.batch, task.part, pickled, sizes),
                *([bytes(r) for r in raw], position, self.stage),
            )
        memory, offset = self.ring.slot(task.slot), 0
        for part in raw:
            memory[offset : offset + part.nbytes] = part
            offset += aligned(part.nbytes)
        return Whole(task.batch, task.part, pickled, sizes, None, position, self.stage)
