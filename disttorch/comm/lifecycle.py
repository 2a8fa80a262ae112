"""What happens to process groups when their process forks, fails or ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from functools import cache
from types import TracebackType
from typing import Protocol

from disttorch.comm.errors import in_words
from disttorch.comm.transport.arena import Condition


class Leaver(Protocol):
    """A process group, as far as the end of its process concerns it."""

    def leave(self, condition: Condition, text: str) -> None:
        """Tell the other ranks why this one takes part no more; must not block."""

    def flush(self) -> None:
        """Deliver messages on their way; ends soon."""

    def forget(self) -> None:
        """Refuse all further use: this process is a forked child and not the rank."""


_groups: weakref.WeakSet[Leaver] = weakref.WeakSet()


def register(group: Leaver) -> None:
    """Look after a group until it is closed or dies; installs the hooks at the first call."""
    _install_hooks()
    _groups.add(group)


def unregister(group: Leaver) -> None:
    """Stop looking after a group."""
    _groups.discard(group)


@cache
def _install_hooks() -> None:
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_after_fork)
    _hook_exceptions()


def _at_exit() -> None:
    for group in list(_groups):
        group.flush()
        group.leave(Condition.EXITED, "")


def _after_fork() -> None:
    # The child's exit handlers and exceptions must not speak for the rank, so it knows no groups.
    for group in list(_groups):
        group.forget()
    _groups.clear()


def _hook_exceptions() -> None:
    """Let an uncaught exception end the waits of other ranks at once, before the process dies."""
    previous = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for group in list(_groups):
                group.leave(Condition.RAISED, in_words(error))
        previous(kind, error, traceback)

    sys.excepthook = hook
