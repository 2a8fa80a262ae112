"""The worker process: takes tasks from its pipe, puts batches (or rows of one) into slots."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from disttorch.backends.cpu.threads import set_num_threads
from disttorch.utils.data.fetch import MapFetcher, StreamFetcher, fetch_samples
from disttorch.utils.data.ring import RingAddress, RingWriter, aligned
from disttorch.utils.data.rows import Layout, RowCollate
from disttorch.utils.data.seeding import seed_worker
from disttorch.utils.data.worker_info import WorkerInfo, set_worker_info

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class WorkerSetup:
    """All a worker is started with."""

    worker_id: int
    num_workers: int
    base_seed: int
    dataset: Any
    collate_fn: Callable[[Any], Any]
    worker_init_fn: Callable[[int], None] | None
    by_rows: bool  # rows of one batch from several workers, default collate
    stream: bool  # iterable dataset
    drop_last: bool
    rank: int
    world_size: int


@dataclass(frozen=True)
class Task:
    """A batch or some of its rows to fetch; `slot` is None before the ring exists."""

    batch: int
    part: int
    first_row: int
    indices: Any
    slot: int | None


@dataclass(frozen=True)
class UseRing:
    """The ring has been made; `layout` is for batches made of rows."""

    address: RingAddress
    layout: Layout | None


@dataclass(frozen=True)
class NewEpoch:
    """Start over: a persistent worker seeds itself anew and restarts its stream."""

    base_seed: int


@dataclass(frozen=True)
class Done:
    """Answer to a Task. Arrays are in the slot if `in_slot`, else in `payload`."""

    batch: int
    part: int
    in_slot: bool
    structure: Any = None
    payload: Any = None
    sizes: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class Exhausted:
    """Answer to a Task of a stream that has ended."""

    batch: int
    part: int


@dataclass(frozen=True)
class Failed:
    """Answer to a Task (or a start) that raised."""

    batch: int
    part: int
    worker_id: int
    kind: type[BaseException]
    traceback: str
    indices: Any


def run_worker(setup: WorkerSetup, pipe: Connection, to_close: list[Connection]) -> None:
    """Serve tasks until the loader closes the pipe."""
    for other in to_close:
        other.close()  # else this process would keep its siblings' pipes open
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the loader's to handle
    set_num_threads(1)
    worker = _Worker(setup)
    try:
        while True:
            message = pipe.recv()
            answer = worker.handle(message)
            if answer is not None:
                pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _die_with_parent() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


class _Worker:
    """What a worker does with each message; no I/O but the slots."""

    def __init__(self, setup: WorkerSetup) -> None:
        self.setup = setup
        self.ring: RingWriter | None = None
        self.layout: Layout | None = None
        self.fetcher: Any = None
        self.start_failure: tuple[BaseException, str] | None = None
        self._start(setup.base_seed)

    def _start(self, base_seed: int) -> None:
        setup = self.setup
        seed_worker(base_seed, setup.worker_id)
        info = WorkerInfo(
            *(setup.worker_id, setup.num_workers, base_seed + setup.worker_id, setup.dataset),
            *(setup.rank, setup.world_size),
        )
        set_worker_info(info)
        try:
            if self.fetcher is None and setup.worker_init_fn is not None:
                setup.worker_init_fn(setup.worker_id)
            if setup.stream:
                self.fetcher = StreamFetcher(setup.dataset, setup.collate_fn, setup.drop_last)
            else:
                self.fetcher = MapFetcher(setup.dataset, setup.collate_fn)
        except Exception as error:
            self.start_failure = (error, traceback.format_exc())

    def handle(self, message: Any) -> Any:
        """Return the answer to a message, None where none is due."""
        match message:
            case UseRing(address, layout):
                self.ring, self.layout = RingWriter(address), layout
            case NewEpoch(base_seed):
                self._start(base_seed)
            case Task():
                return self._answer(message)
        return None

    def _answer(self, task: Task) -> Any:
        if self.start_failure is not None:
            return self._failed(task, *self.start_failure)
        try:
            if self.setup.by_rows:
                return self._rows(task)
            return self._whole(task)
        except StopIteration as stop:
            if self.setup.stream:
                return Exhausted(task.batch, task.part)
            return self._failed(task, stop, traceback.format_exc())
        except Exception as error:
            return self._failed(task, error, traceback.format_exc())

    def _failed(self, task: Task, error: BaseException, text: str) -> Failed:
        kind = type(error)
        try:
            pickle.dumps(kind)
        except Exception:
            kind = RuntimeError
        indices = None if self.setup.stream else task.indices
        return Failed(task.batch, task.part, self.setup.worker_id, kind, text, indices)

    def _rows(self, task: Task) -> Done:
        """Fetch some rows of a batch and write them where the batch is put together."""
        samples = fetch_samples(self.setup.dataset, task.indices)
        destination = None
        if task.slot is not None and self.ring is not None and self.layout is not None:
            rows = slice(task.first_row, task.first_row + len(samples))
            if rows.stop <= self.layout.n_rows:
                destination = self.layout.arrays(self.ring.slot(task.slot), rows)
        rows_of = RowCollate(destination)
        structure = rows_of(samples)
        payload = None if rows_of.in_slot else rows_of.arrays
        return Done(task.batch, task.part, rows_of.in_slot, structure, payload)

    def _whole(self, task: Task) -> Done:
        """Make a whole batch; its arrays go to the slot as pickle's out-of-band buffers."""
        batch = self.fetcher.fetch(task.indices)
        buffers: list[pickle.PickleBuffer] = []
        structure = pickle.dumps(batch, protocol=5, buffer_callback=buffers.append)
        raw = [b.raw() for b in buffers]
        sizes = tuple(r.nbytes for r in raw)
        if task.slot is not None and self.ring is not None:
            if sum(map(aligned, sizes)) <= self.ring.slot_nbytes:
                memory, offset = self.ring.slot(task.slot), 0
                for part in raw:
                    memory[offset : offset + part.nbytes] = part
                    offset += aligned(part.nbytes)
                return Done(task.batch, task.part, True, structure, None, sizes)
        return Done(task.batch, task.part, False, structure, [bytes(r) for r in raw], sizes)
