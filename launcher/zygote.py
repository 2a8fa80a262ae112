"""The zygote: has everything imported and nothing started, and forks the ranks on request.

It keeps no thread, no ZeroMQ context and no BLAS pool, so a fork copies nothing that would be
broken in the child. It outlives the launcher only long enough to end the ranks and remove the
run directory. Every rank is a process group; what a dead rank leaves in it is told to end
(SIGTERM), and has LINGER_S for it: Python's resource tracker, for one, is there to remove the
shared memory of a process that was killed.

Requests: {"op": "start", "rank", "env", "cores"} with stdout, stderr and notice pipe beside;
          {"op": "signal", "ranks", "signum", "group"}.
Reports:  {"op": "started", "rank", "pid"}; {"op": "refused", "rank", "error"} (no fork);
          {"op": "exited", "rank", "code", "at_ns"}, code as in subprocess (negative: the signal).
"""

import contextlib
import gc
import math
import os
import selectors
import signal
import time
import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

from disttorch_launcher import linux
from disttorch_launcher.channel import Channel
from disttorch_launcher.run_directory import RunDirectory
from disttorch_launcher.signals import SignalPipe

EXIT_INTERNAL_ERROR = 70  # EX_SOFTWARE
LINGER_S = 1.0
END_S = 2 * LINGER_S  # how long all may take to disappear before the zygote leaves without them


@dataclass(frozen=True)
class RankStart:
    """What a forked rank is to become; a byte on the notice pipe says that it has failed."""

    rank: int
    env: dict[str, str]
    cores: list[int]
    stdout_fd: int
    stderr_fd: int
    notice_fd: int


def serve(control: Channel, run_directory: RunDirectory) -> RankStart:
    """Be the zygote. Returns in forked ranks only; the zygote itself leaves the process here."""
    # No controlling terminal: a rank that opens /dev/tty gets an error, instead of being stopped
    # for good as a background job, and Ctrl-C goes to the launcher alone.
    os.setsid()
    linux.adopt_orphans()
    zygote_pid = os.getpid()
    zygote = _Zygote(control)
    try:
        start = zygote.loop()
        if start is None:
            zygote.end_ranks()
            run_directory.remove()
            os._exit(0)
    except BaseException:
        traceback.print_exc()
        zygote.end_ranks()
        os._exit(EXIT_INTERNAL_ERROR)
    zygote.close()
    run_directory.unlock()
    _become_rank(start, zygote_pid)
    return start


def _become_rank(start: RankStart, zygote_pid: int) -> None:
    """In the child: own group, leash, output pipes."""
    os.setpgid(0, 0)
    linux.die_with_parent(zygote_pid)
    # Only one rank can read a pipe, and none a terminal that is not its own.
    if start.rank != 0 or os.isatty(0):
        _move_fd(os.open(os.devnull, os.O_RDONLY), 0)
    _move_fd(start.stdout_fd, 1)
    _move_fd(start.stderr_fd, 2)
    gc.enable()


def _move_fd(fd: int, target: int) -> None:
    os.dup2(fd, target)
    os.close(fd)


class _Zygote:
    """The loop over requests and dead children."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._unsent: deque[dict[str, Any]] = deque()
        self._rank_of: dict[int, int] = {}  # pid -> rank, until reaped
        self._left_behind: dict[int, float] = {}  # group of a dead rank -> when it is killed
        self._children = SignalPipe([signal.SIGCHLD])
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._children, selectors.EVENT_READ)

    def loop(self) -> RankStart | None:
        """Serve until the launcher goes (None), or until this process is a rank."""
        while True:
            if self._control in self._turn():
                message, fds = self._control.receive()
                if message is None:
                    self._selector.unregister(self._control)
                    return None
                start = self._perform(message, fds)
                if start is not None:
                    return start

    def end_ranks(self) -> None:
        """SIGKILL every rank and wait, END_S at most, until all that they started has gone."""
        deadline_s = time.monotonic() + END_S
        for pid in self._rank_of:
            os.kill(pid, signal.SIGKILL)
        while (self._rank_of or self._left_behind) and time.monotonic() < deadline_s:
            self._turn(deadline_s)

    def close(self) -> None:
        """Close all descriptors; a rank keeps none of them."""
        self._selector.close()
        self._control.close()
        self._children.close()

    def _turn(self, deadline_s: float = math.inf) -> set[Any]:
        """Wait for something to happen; returns what can be read. Children are dealt with here."""
        wait_s = min(deadline_s, *self._left_behind.values(), math.inf) - time.monotonic()
        ready = self._selector.select(None if wait_s == math.inf else max(0.0, wait_s))
        self._send_reports()
        self._children.drain()
        self._reap()
        self._end_left_behind()
        return {key.fileobj for key, events in ready if events & selectors.EVENT_READ}

    def _perform(self, message: dict[str, Any], fds: tuple[int, ...]) -> RankStart | None:
        if message["op"] == "start":
            return self._start(RankStart(message["rank"], message["env"], message["cores"], *fds))
        send = _signal_group if message["group"] else os.kill
        for pid, rank in self._rank_of.items():
            if rank in message["ranks"]:
                # The pid is ours until it is reaped, which only this loop does.
                send(pid, message["signum"])
        return None

    def _start(self, start: RankStart) -> RankStart | None:
        """Fork; returns `start` in the child."""
        try:
            pid = os.fork()
        except OSError as error:
            self._report({"op": "refused", "rank": start.rank, "error": str(error)})
            pid = -1
        if pid == 0:
            return start
        for fd in (start.stdout_fd, start.stderr_fd, start.notice_fd):
            os.close(fd)
        if pid > 0:
            # In both processes, as neither may act before it is done. PermissionError: the child
            # has done it, and is another program by now.
            with contextlib.suppress(PermissionError):
                os.setpgid(pid, pid)
            self._rank_of[pid] = start.rank
            self._report({"op": "started", "rank": start.rank, "pid": pid})
        return None

    def _report(self, report: dict[str, Any]) -> None:
        self._unsent.append(report)
        self._send_reports()

    def _send_reports(self) -> None:
        """Never wait for room: the launcher may itself be waiting until a request is taken."""
        while self._unsent and self._control.send(self._unsent[0], wait=False):
            self._unsent.popleft()
        if self._control in self._selector.get_map():
            writing = selectors.EVENT_WRITE if self._unsent else 0
            self._selector.modify(self._control, selectors.EVENT_READ | writing)

    def _reap(self) -> None:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            rank = self._rank_of.pop(found.si_pid, None)
            if rank is not None:
                # Before reaping: the group's number cannot yet belong to anybody else.
                _signal_group(found.si_pid, signal.SIGTERM)
            os.waitpid(found.si_pid, 0)
            if rank is not None:
                exited = found.si_code == os.CLD_EXITED
                code = found.si_status if exited else -found.si_status
                at_ns = time.monotonic_ns()
                self._report({"op": "exited", "rank": rank, "code": code, "at_ns": at_ns})
                self._left_behind[found.si_pid] = at_ns / 1e9 + LINGER_S

    def _end_left_behind(self) -> None:
        """SIGKILL what is left of dead ranks' groups too long; forget groups that are empty."""
        for group, kill_at_s in list(self._left_behind.items()):
            # Orphans become our children. While one of them is not reaped, the number is theirs.
            if not _has_children_in(group):
                del self._left_behind[group]
            elif time.monotonic() >= kill_at_s:
                _signal_group(group, signal.SIGKILL)
                del self._left_behind[group]


def _has_children_in(group: int) -> bool:
    try:
        os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _signal_group(group: int, signum: int) -> None:
    """Signal a rank's process group; a group that has emptied meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signum)
