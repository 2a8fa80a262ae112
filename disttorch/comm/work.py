"""Handles of operations that run in the background, and the thread that runs them in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveTimeoutError, GroupUnusableError

_JOIN_S = 5.0


class Work:
    """One operation in the background; `what` describes it to people."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._error: BaseException | None = None
        self._completed = False
        # Cheaper than an Event: held until the operation ends.
        self._running = threading.Lock()
        self._running.acquire()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the operation has ended; returns True, or raises the error that it met.

        Without `timeout_s` it ends at the operation's own deadline. Raises CollectiveTimeoutError
        if `timeout_s` seconds pass first; the operation then goes on.
        """
        limit_s = -1.0 if timeout_s is None else Deadline.after(timeout_s).remaining_s()
        if not self._running.acquire(timeout=limit_s):
            raise CollectiveTimeoutError(f"{self.what} did not end within {timeout_s:g} s")
        self._running.release()
        if self._error is not None:
            raise self._error
        return True

    def is_completed(self) -> bool:
        """Whether the operation has ended, well or not."""
        return self._completed

    def is_success(self) -> bool:
        """Whether the operation has ended without an error."""
        return self._completed and self._error is None

    def exception(self) -> BaseException | None:
        """The error that ended the operation, None if there was none or it still runs."""
        return self._error

    def finish(self, error: BaseException | None = None) -> None:
        """Called once by whoever runs the operation."""
        self._error = error
        self._completed = True
        self._running.release()


class Runner:
    """A thread, started when first needed, that runs operations one after another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Callable[[], None], Work | None] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.n_unfinished = 0
        """How many operations were submitted and have not ended."""

    def submit(self, run: Callable[[], None], work: Work | None) -> None:
        """Run `run` after all that was submitted before; `work` takes its end or its error.

        Without `work`, `run` must see to its own errors. Raises GroupUnusableError after `close`.
        """
        with self._lock:
            if self._closed:
                raise GroupUnusableError(f"{self._name}: closed by this rank")
            self.n_unfinished += 1
            self._queue.put((run, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()

    def close(self, timeout_s: float = _JOIN_S) -> bool:
        """End the thread after what was submitted; False if that takes more than `timeout_s`."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _loop(self) -> None:
        while (item := self._queue.get()) is not None:
            run, work = item
            error: BaseException | None = None
            try:
                run()
            except BaseException as caught:
                error = caught
            with self._lock:
                self.n_unfinished -= 1
            if work is not None:
                work.finish(error)
            # An idle thread must not keep the arrays of its last operation alive.
            del item, run, work, error
