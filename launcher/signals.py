"""Signals as readable bytes: the handler only wakes the loop, the loop does the work."""

import os
import signal
from collections.abc import Iterable
from typing import Any

Disposition = Any  # what signal.getsignal returns: a callable, an enum member or None

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOTIFY_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
FORWARDED_SIGNALS = STOP_SIGNALS + NOTIFY_SIGNALS


def dispositions(signums: Iterable[int]) -> dict[int, Disposition]:
    """What each signal does now, for `restore`."""
    return {signum: signal.getsignal(signum) for signum in signums}


def restore(saved: dict[int, Disposition]) -> None:
    """Put dispositions back as they were (None, set outside Python, is left alone)."""
    for signum, disposition in saved.items():
        if disposition is not None:
            signal.signal(signum, disposition)


class SignalPipe:
    """Turns signals into bytes on a pipe, so that one selector waits for them with all else."""

    def __init__(self, signums: Iterable[int]) -> None:
        self._signums = tuple(signums)
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._saved = dispositions(self._signums)
        self._previous_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for signum in self._signums:
            signal.signal(signum, _only_wake)

    def fileno(self) -> int:
        """The descriptor that becomes readable when a signal has come."""
        return self._read_fd

    def drain(self) -> list[int]:
        """The signals received since the last call, in order."""
        try:
            received = os.read(self._read_fd, 4096)
        except BlockingIOError:
            return []
        return [signum for signum in received if signum in self._signums]

    def close(self) -> None:
        """Restore the dispositions and close the pipe."""
        signal.set_wakeup_fd(self._previous_fd)
        restore(self._saved)
        os.close(self._read_fd)
        os.close(self._write_fd)


def signal_name(signum: int) -> str:
    """`SIGKILL` for 9; `signal 77` for a number without a name."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _only_wake(_signum: int, _frame: object) -> None:
    """The byte is already in the pipe; the handler exists so that it is written."""
