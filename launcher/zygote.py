"""The zygote: has everything imported and nothing started, and forks the ranks on request.

It keeps no thread, no ZeroMQ context and no BLAS pool, so a fork copies nothing that would be
broken in the child. It outlives the launcher only long enough to end the ranks and remove the
run directory.

Requests: {"op": "start", "rank", "env"} with stdout, stderr and notice pipe beside;
          {"op": "signal", "ranks", "signum", "group"}.
Reports:  {"op": "started", "rank", "pid"}; {"op": "refused", "rank", "error"} (no fork);
          {"op": "exited", "rank", "code", "at_ns"}, code as in subprocess (negative: the signal).
"""

import contextlib
import gc
import os
import selectors
import signal
import time
import traceback
from dataclasses import dataclass
from typing import Any

from disttorch_launcher import linux
from disttorch_launcher.channel import Channel
from disttorch_launcher.run_directory import RunDirectory
from disttorch_launcher.signals import (
    FORWARDED_SIGNALS,
    Disposition,
    SignalPipe,
    dispositions,
    restore,
)

EXIT_INTERNAL_ERROR = 70  # EX_SOFTWARE
REAP_S = 2.0  # how long killed ranks may take to disappear before the zygote leaves without them


@dataclass(frozen=True)
class RankStart:
    """What a forked rank is to become. Its signals are still blocked; `signal_mask` frees them."""

    rank: int
    env: dict[str, str]
    notice_fd: int  # one byte written here tells the launcher that the error file is there
    signal_mask: frozenset[int]


def serve(control: Channel, run_directory: RunDirectory) -> RankStart:
    """Be the zygote. Returns in forked ranks only; the zygote itself leaves the process here."""
    at_start = dispositions(FORWARDED_SIGNALS)
    # A batch system signals every process it finds: only the launcher decides what that means.
    for signum in FORWARDED_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    os.setpgid(0, 0)
    linux.adopt_orphans()
    zygote = _Zygote(control, run_directory, at_start)
    try:
        start = zygote.loop()
    except BaseException:
        traceback.print_exc()
        zygote.end_ranks()
        os._exit(EXIT_INTERNAL_ERROR)
    if start is not None:
        return start
    zygote.end_ranks()
    run_directory.remove()
    os._exit(0)


class _Zygote:
    """The loop over requests and dead children."""

    def __init__(
        self, control: Channel, run_directory: RunDirectory, at_start: dict[int, Disposition]
    ) -> None:
        self._control = control
        self._run_directory = run_directory
        self._at_start = at_start
        self._rank_of: dict[int, int] = {}  # pid -> rank, until reaped
        self._children = SignalPipe([signal.SIGCHLD])
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._children, selectors.EVENT_READ)

    def loop(self) -> RankStart | None:
        """Serve until the launcher goes (None), or until this process is a rank."""
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._children in ready:
                self._children.drain()
                self._reap()
            if self._control in ready:
                message, fds = self._control.receive()
                if message is None:
                    return None
                start = self._perform(message, fds)
                if start is not None:
                    return start

    def end_ranks(self) -> None:
        """SIGKILL every rank's process group and wait, REAP_S at most, until they are gone."""
        self._selector.unregister(self._control)
        deadline_s = time.monotonic() + REAP_S
        for pid in self._rank_of:
            _signal_group(pid, signal.SIGKILL)
        self._reap()
        while self._rank_of and time.monotonic() < deadline_s:
            self._selector.select(deadline_s - time.monotonic())
            self._children.drain()
            self._reap()

    def _perform(self, message: dict[str, Any], fds: tuple[int, ...]) -> RankStart | None:
        if message["op"] == "start":
            return self._start(message["rank"], message["env"], fds)
        send = _signal_group if message["group"] else os.kill
        for pid, rank in self._rank_of.items():
            if rank in message["ranks"]:
                # The pid is ours until it is reaped, which only this loop does.
                send(pid, message["signum"])
        return None

    def _start(self, rank: int, env: dict[str, str], fds: tuple[int, ...]) -> RankStart | None:
        # Blocked, a signal to the young rank stays pending until its handlers are in place.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)
        zygote_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._control.send({"op": "refused", "rank": rank, "error": str(error)})
            pid = -1
        if pid == 0:
            self._become_rank(zygote_pid, rank, fds)
            return RankStart(rank, env, fds[2], frozenset(int(signum) for signum in mask))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            os.setpgid(pid, pid)  # in both processes: neither may act before it is done
            self._rank_of[pid] = rank
            self._control.send({"op": "started", "rank": rank, "pid": pid})
        return None

    def _become_rank(self, zygote_pid: int, rank: int, fds: tuple[int, ...]) -> None:
        """In the child: own group, leash, output pipes; nothing of the zygote stays open."""
        os.setpgid(0, 0)
        linux.die_with_parent(zygote_pid)
        self._selector.close()
        self._control.close()
        self._run_directory.unlock()
        self._children.close()
        restore(self._at_start)
        # Only one rank can read a pipe, and none a terminal: it belongs to the foreground group.
        if rank != 0 or os.isatty(0):
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)
        for fd, target in zip(fds[:2], (1, 2), strict=True):
            os.dup2(fd, target)
            os.close(fd)
        gc.enable()

    def _reap(self) -> None:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            rank = self._rank_of.get(found.si_pid)
            if rank is not None:
                # Before reaping: the group's number cannot yet belong to anybody else.
                _signal_group(found.si_pid, signal.SIGKILL)
                del self._rank_of[found.si_pid]
            os.waitpid(found.si_pid, 0)
            if rank is not None:
                exited = found.si_code == os.CLD_EXITED
                code = found.si_status if exited else -found.si_status
                at_ns = time.monotonic_ns()
                self._control.send({"op": "exited", "rank": rank, "code": code, "at_ns": at_ns})


def _signal_group(pid: int, signum: int) -> None:
    """Signal a rank's process group; a group that has emptied meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signum)
