"""Threads that share the pieces of one large operation; NumPy lets go of the GIL while it computes.

They start with the first operation that is worth it, never at import, and a process that has
forked starts its own: the launcher's zygote and DataLoader workers inherit nothing that hangs.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from disttorch.backends.cpu.threads import get_num_threads

THREAD_NAME = "disttorch-worker"

Piece = Callable[[int], None]


class _Job:
    """Pieces 0..n-1 of one operation, taken one by one by whoever is free."""

    def __init__(self, work: Piece, n: int) -> None:
        self.work, self.last = work, n - 1
        self.pieces: Iterator[int] = iter(range(n))
        self.finished = itertools.count()
        self.error: BaseException | None = None
        self.done = threading.Semaphore(0)

    def take_part(self) -> None:
        """Work on pieces until there are none left; after an error they are only counted."""
        for i in self.pieces:
            if self.error is None:
                try:
                    self.work(i)
                except BaseException as error:  # the caller's thread raises it
                    self.error = error
            if next(self.finished) == self.last:
                self.done.release()


class _Workers:
    """The threads of this process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.started = 0
        self.lock = threading.Lock()

    def ensure(self, n: int) -> None:
        """Have at least `n` threads."""
        with self.lock:
            while self.started < n:
                threading.Thread(target=self._serve, name=THREAD_NAME, daemon=True).start()
                self.started += 1

    def _serve(self) -> None:
        from disttorch.backends.cpu import numpy_backend  # noqa: PLC0415 - it imports this module

        numpy_backend.silence_floating_point_warnings()  # a setting of each thread
        _THIS.is_worker = True
        while True:
            self.jobs.get().take_part()  # without a name, which would keep its arrays alive


class _This(threading.local):
    is_worker = False


_THIS = _This()
_WORKERS = _Workers()


def _start_anew() -> None:
    global _WORKERS  # noqa: PLW0603 - the parent's threads do not exist in a forked process
    _WORKERS = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def run_pieces(work: Piece, n: int, n_threads: int | None = None) -> None:
    """Call ``work(i)`` for i in range(n), in up to `n_threads` threads (default: as many as set).

    The order is free; an exception of any call is raised here once all threads have stopped.
    """
    threads = min(n, get_num_threads() if n_threads is None else n_threads)
    if threads < 2 or _THIS.is_worker:
        for i in range(n):
            work(i)
        return
    workers, job = _WORKERS, _Job(work, n)
    workers.ensure(threads - 1)
    for _ in range(threads - 1):
        workers.jobs.put(job)
    job.take_part()
    # For pieces, not for threads: one that has yet to wake up on a busy machine is not waited for.
    job.done.acquire()
    if job.error is not None:
        raise job.error
