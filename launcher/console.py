"""The launcher's own output: never blocks the loop, keeps lines whole, shows one live progress bar.

An `Outlet` is a queue before a file descriptor. The queue is short: while it is full the agent
stops reading the ranks' pipes, so that a stopped terminal or a slow pager holds up the ranks'
prints, as it would in any pipeline, and neither memory nor supervision.
"""

import math
import os
import select
import time
from collections.abc import Collection, Iterable, Mapping

from disttorch_launcher.collapse import Collapser, Ready
from disttorch_launcher.lines import prefixed
from disttorch_launcher.rank_sets import ranges_text

FULL_NBYTES = 1 << 22
PIECE_NBYTES = select.PIPE_BUF  # a pipe that polls as writable takes this much without blocking
StreamOf = tuple[int, int]  # rank, and 1 for its stdout or 2 for its stderr
USUAL_COLUMNS = 80  # of a terminal that does not know its size
COLOURS = (36, 33, 32, 35, 34, 31)
ERASE_LINE = b"\r\x1b[K"


class Outlet:
    """A descriptor of the launcher and what is still to be written to it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken: OSError | None = None
        self._own_fd = _reopened_nonblocking(fd)
        self._queue = bytearray()

    def fileno(self) -> int:
        """The descriptor to wait on while `pending`."""
        return self.fd if self._own_fd is None else self._own_fd

    @property
    def pending(self) -> bool:
        """True if something waits to be written."""
        return bool(self._queue)

    @property
    def full(self) -> bool:
        """True if nothing more should be read for this outlet now."""
        return len(self._queue) >= FULL_NBYTES

    def write(self, data: bytes) -> None:
        """Queue `data` and write what can be written at once."""
        if data and self.broken is None:
            self._queue += data
            self.pump()

    def pump(self) -> None:
        """Write until the queue is empty or the descriptor would block."""
        try:
            while self._queue and self._writable():
                size = len(self._queue) if self._own_fd is not None else PIECE_NBYTES
                written = os.write(self.fileno(), memoryview(self._queue)[:size])
                del self._queue[:written]
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = error  # nobody reads any more, or the disk is full
            self._queue.clear()

    def flush(self, deadline_s: float) -> None:
        """Write all, until `deadline_s` (monotonic) at the latest."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        while self._queue:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            poll.poll(left_s * 1000)
            self.pump()

    def close(self) -> None:
        """Close what this outlet opened; the launcher's own descriptor stays."""
        if self._own_fd is not None:
            os.close(self._own_fd)
            self._own_fd = None

    def _writable(self) -> bool:
        if self._own_fd is not None:
            return True
        return bool(select.select([], [self.fd], [], 0)[1])


class Console:
    """Whole lines of ranks to stdout and stderr, the launcher's own notes to stderr.

    With `n_collapsed` ranks, equal lines of several of them are written once: `[r0-7] loaded`.
    """

    def __init__(
        self,
        stdout_fd: int,
        stderr_fd: int,
        environ: Mapping[str, str],
        n_collapsed: int = 0,
    ) -> None:
        self._collapser = Collapser(n_collapsed) if n_collapsed else None
        self.live = os.isatty(stderr_fd) and environ.get("TERM", "dumb") != "dumb"
        self._colour = self.live and "NO_COLOR" not in environ
        stderr = Outlet(stderr_fd)
        # One file, one queue: lines must neither overtake nor be written into each other.
        shared = os.path.samestat(os.fstat(stdout_fd), os.fstat(stderr_fd))
        self._outlets = {1: stderr if shared else Outlet(stdout_fd), 2: stderr}
        self._progress = b""
        self._progress_owner = (-1, 2)

    @property
    def outlets(self) -> list[Outlet]:
        """The distinct outlets, for the loop to wait on."""
        return list(dict.fromkeys(self._outlets.values()))

    @property
    def full(self) -> bool:
        """True while the ranks' pipes should not be read."""
        return any(outlet.full for outlet in self.outlets)

    @property
    def broken(self) -> OSError | None:
        """Why the ranks' standard output can no longer be written, None while it can."""
        return self._outlets[1].broken

    def lines(self, owner: StreamOf, lines: bytes) -> None:
        """Whole lines of one stream of a rank."""
        rank, stream = owner
        if self._collapser is None:
            self._write(stream, prefixed(lines, self._prefix((rank,))))
        else:
            self._write_ready(self._collapser.feed(rank, stream, lines, time.monotonic()))

    @property
    def due_s(self) -> float:
        """When `tick` has lines to write that wait for their like; infinite if none do."""
        return self._collapser.due_s if self._collapser else math.inf

    def tick(self, now_s: float) -> None:
        """Write lines that have waited long enough."""
        if self._collapser is not None:
            self._write_ready(self._collapser.ready(now_s))

    def progress(self, owner: StreamOf, text: bytes) -> None:
        """Show a rank's progress bar live on the bottom line; nothing where that is no terminal."""
        if self.live:
            prefix = self._prefix((owner[0],))
            columns = _columns(self._outlets[2].fd)
            # A bar that wrapped could not be erased again.
            self._progress = prefix + text[: max(0, columns - len(f"[r{owner[0]}] ") - 1)]
            self._progress_owner = owner
            self._outlets[2].write(ERASE_LINE + self._progress)

    def progress_ended(self, owner: StreamOf) -> None:
        """The bar of this stream has become a line or was abandoned."""
        if self._progress and owner == self._progress_owner:
            self._outlets[2].write(ERASE_LINE)
            self._progress = b""

    def note(self, text: str) -> None:
        """Lines of the launcher itself; nothing for an empty text."""
        if text:
            self._write_waiting()
            self._write(2, (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace"))

    def flush(self, timeout_s: float) -> None:
        """Write everything out, waiting `timeout_s` seconds at most for a slow reader."""
        self._write_waiting()
        deadline_s = time.monotonic() + timeout_s
        for outlet in self.outlets:
            outlet.flush(deadline_s)

    def close(self) -> None:
        """Flushes nothing; see `flush`."""
        for outlet in self.outlets:
            outlet.close()

    def _write_waiting(self) -> None:
        if self._collapser is not None:
            self._write_ready(self._collapser.flush())

    def _write_ready(self, ready: Iterable[Ready]) -> None:
        for ranks, stream, lines in ready:
            self._write(stream, prefixed(lines, self._prefix(ranks)))

    def _prefix(self, ranks: Collection[int]) -> bytes:
        name = ranges_text(ranks).encode()
        if not self._colour:
            return b"[r%s] " % name
        return b"\x1b[%dm[r%s]\x1b[0m " % (COLOURS[min(ranks) % len(COLOURS)], name)

    def _write(self, stream: int, data: bytes) -> None:
        if data and self._progress:  # a terminal: push the bar down and draw it again
            data = ERASE_LINE + data + self._progress
            stream = 2
        self._outlets[stream].write(data)


def _columns(fd: int) -> int:
    try:
        return os.get_terminal_size(fd).columns or USUAL_COLUMNS
    except OSError:  # the terminal has been closed; its SIGHUP says so to the loop
        return USUAL_COLUMNS


def _reopened_nonblocking(fd: int) -> int | None:
    """A second, non-blocking way to the same terminal or pipe; None for files and sockets.

    O_NONBLOCK on the descriptor itself would change it for the shell and everyone who shares it.
    """
    try:
        if os.path.isfile(f"/proc/self/fd/{fd}"):
            return None
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
