"""Handles of operations that run in the background, and the thread that runs them in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveTimeoutError, GroupUnusableError, in_words
from disttorch.futures import Future

_JOIN_S = 5.0
# Futures are rare, so one lock serves them all.
_FUTURES = threading.Lock()


class Work:
    """One operation in the background; `what` describes it to people."""

    def __init__(self, what: str = "an operation") -> None:
        self.what = what
        self.is_receive = False
        self.peer: int | None = None
        """The other side of a message, once it has ended."""
        self.outputs: Any = None
        """What the future's value is: the list of tensors that the operation writes."""
        self._error: BaseException | None = None
        self._before: tuple[Work, ...] = ()
        self._completed = False
        self._future: Future[Any] | None = None
        # Cheaper than an Event: held until the operation ends.
        self._running = threading.Lock()
        self._running.acquire()

    def wait(self, timeout: timedelta | float | None = None) -> bool:
        """Block until the operation has ended; returns True, or raises the error that it met.

        Without `timeout`, or with ``timedelta(0)`` as in PyTorch, it ends at the operation's own
        deadline. Raises CollectiveTimeoutError if `timeout`, a timedelta or seconds, passes first;
        the operation then goes on.
        """
        if timeout is None or timeout == timedelta(0):
            self._running.acquire()
        else:
            limit = Deadline.after(timeout)
            if not self._running.acquire(timeout=limit.remaining_s()):
                raise CollectiveTimeoutError(
                    f"{self.what} did not end within {limit.timeout_s:g} s"
                )
        self._running.release()
        if self._error is not None:
            try:
                raise self._error
            finally:
                # Its traceback holds this frame: a cycle, which would keep the group's memory.
                del self
        return True

    def synchronize(self) -> None:
        """Block until the operation has ended, as `wait`; there are no streams to order."""
        self.wait()

    def is_completed(self) -> bool:
        """Whether the operation has ended, well or not."""
        return self._completed

    def result(self) -> Any:
        """The list of tensors that the operation wrote; RuntimeError if it has not ended."""
        if not self._completed:
            raise RuntimeError(f"{self.what} has not ended; wait() for it first")
        return self.outputs

    def is_success(self) -> bool:
        """Whether the operation has ended without an error."""
        return self._completed and self._error is None

    def exception(self) -> BaseException | None:
        """The error that ended the operation, None if there was none or it still runs."""
        return self._error

    def source_rank(self) -> int:
        """Group rank whose message was received; RuntimeError for all but ended receives."""
        if not self.is_receive or self.peer is None:
            raise RuntimeError(
                "sourceRank() may only be called on work objects that correspond to a recv or "
                "recv-from-any call."
            )
        return self.peer

    _source_rank = source_rank

    def get_future(self) -> Future[Any]:
        """A Future of the operation's tensors; its callbacks run on the thread that ends it."""
        with _FUTURES:
            if self._future is None:
                self._future = Future()
                if self._completed:
                    self._tell(self._future)
            return self._future

    def answer_for(self, before: Iterable[Work]) -> None:
        """Let an error of operations that end before this one be its own, if it has none.

        To be called before anybody else has the handle.
        """
        with _FUTURES:
            self._before = tuple(before)
            if self._completed:
                self._take_errors()

    def _take_errors(self) -> None:
        self._error = next((w._error for w in (*self._before, self) if w._error), None)

    def finish(
        self, error: BaseException | None = None, ended: Callable[[], None] = lambda: None
    ) -> None:
        """Called once by whoever runs the operation; `ended` is called before anybody is told.

        With callbacks waiting, it is called after them: what they start comes before the next.
        """
        self._error = error
        with _FUTURES:
            if self._before:
                self._take_errors()
            self._completed = True
            future = self._future
            if future is None:
                ended()
        if future is not None:
            try:
                self._tell(future)
            except BaseException as caught:  # a callback that exits, a future that somebody ended
                self._error = self._error or caught
            ended()
        self._running.release()

    def _tell(self, future: Future[Any]) -> None:
        if self._error is None:
            future.set_result(self.outputs)
        elif isinstance(self._error, Exception):
            future.set_exception(self._error)
        else:
            future.set_exception(RuntimeError(in_words(self._error)))


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
        What the thread itself submits, in callbacks of futures, runs at once: on all ranks it comes
        after the same operation, wherever the callback runs.
        """
        if threading.current_thread() is self._thread:
            self._run(run, work)
            return
        with self._lock:
            if self._closed:
                raise GroupUnusableError(f"{self._name}: closed by this rank")
            if self._thread is None:
                thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                # Raises where there is no memory for a stack, or no process more is allowed.
                thread.start()
                self._thread = thread
            self.n_unfinished += 1
            self._queue.put((run, work))

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
            self._run(*item, self._ended)
            # An idle thread must not keep the arrays of its last operation alive.
            del item

    def _run(
        self, run: Callable[[], None], work: Work | None, ended: Callable[[], None] = lambda: None
    ) -> None:
        error: BaseException | None = None
        try:
            run()
        except BaseException as caught:  # whoever waits for the work has it raised
            error = caught
        if work is None:
            ended()
        else:
            work.finish(error, ended)
        # The error's traceback holds this frame, which must hold neither.
        del error, work

    def _ended(self) -> None:
        with self._lock:
            self.n_unfinished -= 1
