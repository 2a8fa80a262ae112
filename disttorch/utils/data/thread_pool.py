"""Worker threads of a loader: for samples whose making lets go of the interpreter's lock.

They share the loader's memory: nothing is copied or pickled, and starting them takes no time. They
also share its global random generators; seeded ones of each thread are in
``get_worker_info().rng``.
"""

from __future__ import annotations

import copy
import queue
import threading
import time
import traceback
from dataclasses import replace
from typing import Any

from disttorch.utils.data.messages import Exhausted, Made, NewEpoch, Task, failed
from disttorch.utils.data.seeding import worker_seed
from disttorch.utils.data.shards import is_pipe
from disttorch.utils.data.worker import WorkerSetup, make_fetcher
from disttorch.utils.data.worker_info import WorkerInfo, WorkerRandom, set_thread_info

_END_S = 1.0  # for all threads together; one that is stuck in a sample cannot be ended


class ThreadPool:
    """`setup.num_workers` threads, asked and answering as the processes of a `WorkerPool`."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._tasks: list[queue.SimpleQueue[Any]] = []
        self._threads = []
        for worker_id in range(setup.num_workers):
            tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
            # Nothing of the pool: a thread that held it would keep an abandoned loader alive.
            arguments = (setup, worker_id, tasks, self._answers, self._closing)
            thread = threading.Thread(
                target=_serve, args=arguments, name=f"DataLoader worker {worker_id}", daemon=True
            )
            self._tasks.append(tasks)
            self._threads.append(thread)
            thread.start()

    def __len__(self) -> int:
        return len(self._tasks)

    def submit(self, worker_id: int, task: Task) -> None:
        """Give a task to a thread."""
        self._tasks[worker_id].put(task)

    def flush(self) -> None:
        """Do nothing: threads see at once what they are given."""

    def tell_all(self, message: Any) -> None:
        """Send a message that is not answered to every thread."""
        for tasks in self._tasks:
            tasks.put(message)

    def answers(self, timeout_s: float | None) -> list[Any]:
        """Wait for answers and return those that have come; empty after `timeout_s`."""
        try:
            answers = [self._answers.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        while not self._answers.empty():
            answers.append(self._answers.get())
        return answers

    def close(self) -> None:
        """Let the threads end after the samples they are fetching."""
        self._closing.set()
        self.tell_all(None)
        deadline = time.monotonic() + _END_S
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))


def _serve(
    setup: WorkerSetup, worker_id: int, tasks: Any, answers: Any, closing: threading.Event
) -> None:
    """Answer tasks until the pool is closed."""
    worker = _ThreadWorker(setup, worker_id)
    worker.start(0)
    while not closing.is_set():
        message = tasks.get()
        if isinstance(message, Task):
            answers.put(worker.answer(message))
        elif isinstance(message, NewEpoch):
            worker.start(message.epoch)


class _ThreadWorker:
    """What a thread does with each message."""

    def __init__(self, setup: WorkerSetup, worker_id: int) -> None:
        if setup.stream and (is_pipe(setup.dataset) or hasattr(setup.dataset, "state_dict")):
            # What it has read is kept in it: each thread needs one of its own, as a process has.
            setup = replace(setup, dataset=copy.deepcopy(setup.dataset))
        self.setup = setup
        self.worker_id = worker_id
        self.fetcher: Any = None

    def start(self, epoch: int) -> None:
        """Begin a pass."""
        setup, worker_id = self.setup, self.worker_id
        self.start_failure: tuple[BaseException, str] | None = None
        seed = worker_seed(setup.base_seed, worker_id, epoch, setup.rank)
        set_thread_info(
            WorkerInfo(
                *(worker_id, setup.num_workers, seed, setup.dataset),
                *(WorkerRandom.seeded(seed), "thread"),
                *(setup.rank, setup.world_size, epoch),
            )
        )
        try:
            first = self.fetcher is None
            share = setup.shares[worker_id] if first and setup.shares is not None else None
            self.fetcher = make_fetcher(setup, worker_id, first, epoch, share)
        except Exception as error:  # a user's code; the answer to each task
            self.start_failure = (error, traceback.format_exc())

    def answer(self, task: Task) -> Any:
        """The batch, or what has become of it."""
        place = (task, self.worker_id, self.setup.stream)
        if self.start_failure is not None:
            return failed(*place, *self.start_failure, "thread")
        try:
            batch = self.fetcher.fetch(task.indices)
            # A copy: the thread reads on before the batch is delivered.
            position = copy.deepcopy(self.fetcher.position())
            return Made(task.batch, task.part, batch, position)
        except StopIteration as stop:
            if self.setup.stream:
                return Exhausted(task.batch, task.part)
            return failed(*place, stop, traceback.format_exc(), "thread")
        except Exception as error:  # a user's dataset; the reader raises it
            return failed(*place, error, traceback.format_exc(), "thread")
