"""`disttorch.futures`: results that are not there yet."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")

_TWICE = (
    "Attempting to mark a completed Future as complete again. Note that a Future can only be "
    "marked completed once."
)


class Future(Generic[T]):
    """A value that some thread will set; callbacks run on that thread, or at once if it is there.

    `devices` is accepted for PyTorch's sake
    (https://docs.pytorch.org/docs/stable/futures.html#torch.futures.Future).
    """

    def __init__(self, *, devices: Sequence[Any] | None = None) -> None:
        self._condition = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether there is a value or an error."""
        return self._done

    def wait(self) -> T:
        """Block until there is a value and return it, or raise the error that was set."""
        if not self._done:
            with self._condition:
                self._condition.wait_for(lambda: self._done)
        return self._outcome()

    def value(self) -> T:
        """Return the value or raise the error; RuntimeError if there is neither yet."""
        if not self._done:
            raise RuntimeError("value() of a Future that is not completed; use wait()")
        return self._outcome()

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """Return a Future of what `callback(self)` returns or raises once this one is done."""
        chained: Future[S] = Future()

        def run(source: Future[T]) -> None:
            try:
                result = callback(source)
            except BaseException as error:  # whoever waits for the chained future has it raised
                chained._complete(None, error)
            else:
                chained._complete(result, None)

        self.add_done_callback(run)
        return chained

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call `callback(self)` once this Future is done, in the order of registration.

        Its errors are logged and otherwise ignored: they are none of the thread's that ends here.
        """
        with self._condition:
            if not self._done:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def _call(self, callback: Callable[[Future[T]], Any]) -> None:
        try:
            callback(self)
        except Exception:  # a user's function; nobody waits for what it does
            logging.getLogger(__name__).exception("error in a callback of a Future")

    def set_result(self, result: T) -> None:
        """Give the value; RuntimeError if there is one already."""
        self._complete(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Give an error, which `wait` and `value` raise; AssertionError for anything else."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def _complete(self, value: Any, error: BaseException | None) -> None:
        with self._condition:
            if self._done:
                raise RuntimeError(_TWICE)
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            self._call(callback)


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """Return a Future of `futures` themselves, done when all of them are."""
    futures, whole = list(futures), Future[list[Future[Any]]]()
    left, lock = [len(futures)], threading.Lock()

    def one_more(_: Any) -> None:
        with lock:
            left[0] -= 1
            last = not left[0]
        if last:
            whole.set_result(futures)

    if not futures:
        whole.set_result(futures)
    for future in futures:
        future.add_done_callback(one_more)
    return whole


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """Wait for all of `futures` and return their values; raise the first one's error."""
    return [future.wait() for future in collect_all(futures).wait()]
