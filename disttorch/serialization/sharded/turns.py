"""Saves of a process into one folder, one after another in the order of their calls."""

from __future__ import annotations

import os
import threading
from types import TracebackType

# Reentrant: a handler of a signal may save while its thread is in here.
_LOCK = threading.RLock()
_LAST: dict[str, Turn] = {}
os.register_at_fork(after_in_child=_LAST.clear)


class Turn:
    """A place in the line for a folder, taken when it is made and given up when its block ends.

    Two saves at once would give their files the same names, and each removes the other's as those
    of an earlier save; and one that began first may end last, so that an old state replaces a new.
    """

    def __init__(self, folder: str) -> None:
        self._folder = os.path.realpath(folder)
        self._ended = threading.Event()
        self._thread: int | None = None
        with _LOCK:
            self._before = _LAST.get(self._folder)
            _LAST[self._folder] = self

    def wait(self, timeout_s: float | None) -> None:
        """Return when all earlier turns have ended; TimeoutError after `timeout_s` seconds each.

        Raises RuntimeError if this thread has the turn already, and would wait for itself.
        """
        while self._before is not None:
            if self._before._thread == threading.get_ident() and not self._before._ended.is_set():
                raise RuntimeError(f"a save into {self._folder} was called inside of another")
            if not self._before._ended.wait(timeout_s):
                raise TimeoutError(
                    f"an earlier save into {self._folder} has not ended after {timeout_s:g} s"
                )
            # One that ended without its turn having come leaves those before it to be waited for.
            self._before = self._before._before
        self._thread = threading.get_ident()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _LOCK:
            if _LAST.get(self._folder) is self and self._before is None:
                del _LAST[self._folder]
        self._ended.set()
