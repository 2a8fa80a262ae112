"""Worker processes of a loader: started, fed, watched, replaced when killed, ended in time."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from disttorch.backends.cpu.threads import get_num_threads
from disttorch.utils.data.channel import LoaderEnd
from disttorch.utils.data.messages import NewEpoch, Sized, Task, UseRing
from disttorch.utils.data.resume import Share, can_go_on
from disttorch.utils.data.start_method import Start, pickled, without_main
from disttorch.utils.data.worker import Place, WorkerSetup, run_worker

_log = logging.getLogger(__name__)

_END_S = 1.0  # all workers together get this long to leave before they are killed
_LOOK_EVERY_S = 0.2
_MAX_DEATHS = 5  # so many workers are lost to one task, or without an answer between, and no more


@dataclass
class _Member:
    """One worker process and the tasks it has not answered."""

    process: Any
    channel: LoaderEnd
    tasks: deque[Task] = field(default_factory=deque)
    share: Share | None = None  # what it and its predecessors have answered of this pass
    n_deaths: int = 0  # of its predecessors, since the last answer
    rss_nbytes: int = 0  # when last looked at
    look_at_s: float = 0.0

    def look(self) -> None:
        """Take note of the memory that the process uses, now and then."""
        now_s = time.monotonic()
        if now_s >= self.look_at_s:
            self.look_at_s = now_s + _LOOK_EVERY_S
            self.rss_nbytes = _rss_nbytes(self.process.pid) or self.rss_nbytes


class WorkerPool:
    """`setup.num_workers` processes with a channel each.

    Raises what starting a process raises; those that were started have ended then.
    """

    def __init__(self, setup: WorkerSetup, start: Start) -> None:
        self._setup = setup
        self._start_reason = start.reason
        self._context = start.context
        self._pid = os.getpid()
        self._pickled: bytes | None = None
        self._epoch = 0
        self._use_ring: UseRing | None = None
        self._members: list[_Member] = []
        self._poll = select.poll()
        self._channels: dict[int, _Member] = {}
        self._sentinels: dict[int, int] = {}
        if start.may_fork:
            self._fork_if_it_must_be()
        _log.info("DataLoader workers are started by %s: %s", self.start_method, start.reason)
        get_num_threads()  # finds the library once, and not in every worker
        try:
            # All are started before any is waited for.
            for worker_id in range(setup.num_workers):
                share = setup.shares[worker_id] if setup.shares is not None else None
                self._members.append(self._start(worker_id, share))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._members)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers."""
        return [member.process.pid for member in self._members]

    def _start(self, worker_id: int, share: Share | None) -> _Member:
        method = self.start_method
        forked = method == "fork"
        target: Any = run_worker if forked else _run_pickled
        setup = self._setup if forked else self._setup_pickled()
        ours, theirs = socket.socketpair()
        channel = LoaderEnd(ours)
        # The kernel ties it to the thread that started it, of which only the main one is sure to
        # live as long as the process.
        tied = method != "forkserver" and threading.current_thread() is threading.main_thread()
        place = Place(worker_id, self._epoch, share)
        arguments = (setup, place, theirs, os.getpid() if tied else None)
        process = self._context.Process(target=target, args=arguments, daemon=True)
        try:
            main = contextlib.nullcontext() if forked else without_main()
            with theirs, _without_interrupts(), main:
                process.start()
        except BaseException:
            channel.close()
            raise
        member = _Member(process, channel, share=share)
        self._channels[channel.fileno()] = member
        self._sentinels[process.sentinel] = worker_id
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(process.sentinel, select.POLLIN)
        return member

    def _setup_pickled(self) -> bytes:
        if self._pickled is None:
            self._pickled = pickled(self._setup, self._start_reason)
        return self._pickled

    def _fork_if_it_must_be(self) -> None:
        """Fork after all where the dataset cannot be pickled: it nearly always goes well."""
        try:
            self._setup_pickled()
        except Exception as error:  # a user's dataset may refuse in any way
            warnings.warn(f"DataLoader workers are forked, which may hang: {error}", stacklevel=6)
            self._context = multiprocessing.get_context("fork")

    @property
    def start_method(self) -> str:
        """How the workers are started: "fork", "forkserver" or "spawn"."""
        return str(self._context.get_start_method())

    def submit(self, worker_id: int, task: Task) -> None:
        """Give a task to a worker with the next `flush`; if it dies, its successor gets it."""
        member = self._members[worker_id]
        member.tasks.append(task)
        member.channel.put(task)

    def flush(self) -> None:
        """Send the tasks that were submitted, those of one worker together."""
        for member in self._members:
            self._flush(member)

    def tell_all(self, message: UseRing | NewEpoch) -> None:
        """Send a message that is not answered to every worker; successors know of it too."""
        if isinstance(message, UseRing):
            self._use_ring = message
        else:
            self._epoch = message.epoch
            for member in self._members:
                member.share = member.share and member.share.of_next_pass()
        for member in self._members:
            member.channel.put(message)
            self._flush(member)

    def _flush(self, member: _Member) -> None:
        member.channel.flush()
        if member.channel.has_unsent:
            self._poll.modify(member.channel.fileno(), select.POLLIN | select.POLLOUT)

    def answers(self, timeout_s: float | None) -> list[Any]:
        """Wait for answers and return those that have come; empty after `timeout_s`.

        Raises RuntimeError when a worker died and cannot be replaced, or the pool was closed.
        """
        if not self._members:
            raise RuntimeError("the workers of this DataLoader were ended while it was waiting")
        self.flush()
        ready = self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1e3)
        answers: list[Any] = []
        dead = []
        for fd, event in ready:
            if fd in self._sentinels:
                dead.append(fd)
            elif fd in self._channels:
                answers += self._serve(fd, self._channels[fd], event)
        for fd in dead:
            answers += self._replace(self._sentinels[fd])
        return answers

    def _serve(self, fd: int, member: _Member, event: int) -> list[Any]:
        """Send what was put off, return what has come."""
        if event & select.POLLOUT:
            member.channel.flush()
            if not member.channel.has_unsent:
                self._poll.modify(fd, select.POLLIN)
        member.look()
        answers = self._received(member) if event & ~select.POLLOUT else []
        if member.channel.ended:
            self._poll.unregister(fd)  # its process has ended too, or will
            del self._channels[fd]
        return answers

    def _received(self, member: _Member) -> list[Any]:
        answers = member.channel.receive()
        for answer in answers:
            if type(answer) is not Sized:
                task = member.tasks.popleft()
                member.n_deaths = 0
                position = getattr(answer, "position", None)
                if self._setup.stream or position is not None:
                    member.share = (member.share or Share()).after(task.indices, position)
        return answers

    def _replace(self, worker_id: int) -> list[Any]:
        """Start a successor for a dead worker, with the tasks it leaves; return its last answers.

        Raises RuntimeError if that is of no use.
        """
        dead = self._members[worker_id]
        answers = self._received(dead)  # they were complete when it died
        self._forget(dead)
        dead.process.join()
        how = f"DataLoader worker (pid(s) {dead.process.pid}) exited unexpectedly"
        cause = _describe(dead.process.exitcode, dead.rss_nbytes)
        if self._setup.stream and not can_go_on(self._setup.dataset):
            raise RuntimeError(
                f"{how} ({cause}); the position in its iterable dataset is lost with it. A new "
                "worker could go on if the dataset were a disttorch.utils.data.ShardedDataset, or "
                "had state_dict and load_state_dict"
            )
        if dead.n_deaths + 1 >= _MAX_DEATHS:
            known = dead.tasks and not self._setup.stream
            at = f" on the samples {dead.tasks[0].indices}" if known else ""
            raise RuntimeError(f"{how}: {_MAX_DEATHS} workers died ({cause}){at}")
        warnings.warn(
            f"DataLoader worker {worker_id} (pid {dead.process.pid}) was lost: {cause}; a new "
            f"worker takes over its {len(dead.tasks)} outstanding task(s)",
            stacklevel=7,
        )
        dead.process.close()
        member = self._members[worker_id] = self._start(worker_id, dead.share)
        member.n_deaths = dead.n_deaths + 1
        if self._use_ring is not None:
            member.channel.put(self._use_ring)
        for task in dead.tasks:
            self.submit(worker_id, task)
        return answers

    def _forget(self, member: _Member) -> None:
        """Wait no longer for a worker; close its channel."""
        fd = member.channel.fileno()
        if self._channels.pop(fd, None) is not None:
            self._poll.unregister(fd)
        if self._sentinels.pop(member.process.sentinel, None) is not None:
            self._poll.unregister(member.process.sentinel)
        member.channel.close()

    def close(self) -> None:
        """End the workers: their channels close, those still there after a second are killed."""
        if self._pid != os.getpid():
            return  # a forked copy: the workers are not its own
        members, self._members = self._members, []
        deadline = time.monotonic() + _END_S
        for member in members:
            self._forget(member)
        for member in members:
            member.process.join(max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join(_END_S)
            with contextlib.suppress(ValueError):  # still there: the kernel has not ended it
                member.process.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from a worker that is being started, until it ignores the signal itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        if sys.version_info < (3, 12):
            yield
            return
        with warnings.catch_warnings():
            # Python warns of threads in the parent; the child uses none of their state.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", Warning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _describe(exit_code: int | None, rss_nbytes: int) -> str:
    """Say how a process ended, and what may have been the cause."""
    if exit_code is None or exit_code >= 0:
        return f"exit status {exit_code}"
    name = signal.Signals(-exit_code).name
    if name != "SIGKILL":
        return f"killed by {name}"
    used = f"; it used {rss_nbytes / 1e6:.0f} MB when last seen" if rss_nbytes else ""
    free = _free_nbytes()
    left = f", of which the machine has {free / 1e6:.0f} MB left" if used and free else ""
    return f"killed by {name}, likely out of memory{used}{left}"


def _rss_nbytes(pid: int) -> int:
    """Resident memory of a process; 0 if that is not known."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _free_nbytes() -> int:
    """Memory that the machine could still give to programs; 0 if that is not known."""
    try:
        with open("/proc/meminfo") as meminfo:
            line = next(x for x in meminfo if x.startswith("MemAvailable"))
            return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return 0


def _run_pickled(setup: bytes, *arguments: Any) -> None:
    """Entry of a spawned worker."""
    import cloudpickle  # noqa: PLC0415 - for spawned workers only

    run_worker(cloudpickle.loads(setup), *arguments)


def checked_context(context: Any, num_workers: int) -> Any:
    """The context a user chose, by name or as it is; ValueError or TypeError, as PyTorch's."""
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading "
            f"(num_workers > 0), but got num_workers={num_workers}"
        )
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context
