"""Signals as readable bytes: the handler only wakes the loop, the loop does the work."""

import os
import signal
from collections.abc import Iterable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOTIFY_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
FORWARDED_SIGNALS = STOP_SIGNALS + NOTIFY_SIGNALS


class SignalPipe:
    """Turns signals into bytes on a pipe, so that one selector waits for them with all else."""

    def __init__(self, signums: Iterable[int]) -> None:
        self._signums = tuple(signums)
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._saved = {signum: signal.getsignal(signum) for signum in self._signums}
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
        """Put the handlers back as they were and close the pipe."""
        signal.set_wakeup_fd(self._previous_fd)
        for signum, handler in self._saved.items():
            if handler is not None:  # None: set outside Python, which cannot put it back
                signal.signal(signum, handler)
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
