"""Which process a peer is, and whether it still lives."""

from __future__ import annotations

import errno
import os
import select
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from disttorch import linux


@dataclass(frozen=True)
class ProcessId:
    """A process for certain: its number, its start time in clock ticks, and its host.

    `host` is equal for processes that share memory and see each other's numbers, and for no others
    unless the environment tells tests that they do not: processes of different DISTTORCH_HOST_ID
    count as on different hosts, and where DISTTORCH_TRANSPORT is tcp each is on one of its own.
    """

    pid: int
    start_ticks: int
    host: str

    @classmethod
    def current(cls) -> ProcessId:
        """The calling process."""
        pid = os.getpid()
        pretended = os.environ.get("DISTTORCH_HOST_ID", "")
        if os.environ.get("DISTTORCH_TRANSPORT", "") == "tcp":
            pretended = f"{pretended}/{pid}"
        return cls(pid, _start_ticks(pid) or 0, _host() + pretended)


def by_host(processes: Sequence[ProcessId]) -> tuple[tuple[int, ...], ...]:
    """The positions of processes on each host, hosts in the order in which they come first."""
    hosts: dict[str, list[int]] = {}
    for index, process in enumerate(processes):
        hosts.setdefault(process.host, []).append(index)
    return tuple(tuple(members) for members in hosts.values())


class ProcessWatch:
    """Tells which of some processes, named by their ranks, have ended; on Linux without polling.

    A process counts as ended as soon as it is a zombie.
    """

    def __init__(self, processes: Mapping[int, ProcessId]) -> None:
        self._processes = dict(processes)
        self._rank_of_fd: dict[int, int] = {}
        self._ended: set[int] = set()
        self._polled: dict[int, ProcessId] = {}
        self._poll = select.poll()
        # A poll object refuses to be polled by two threads at once.
        self._lock = threading.Lock()
        self._closer = weakref.finalize(self, _close_all, self._rank_of_fd)
        for rank, process in self._processes.items():
            self._open(rank, process)

    def ended(self) -> set[int]:
        """The ranks whose processes have ended so far; does not block, safe from any thread."""
        with self._lock:
            for fd, _ in self._poll.poll(0):
                self._ended.add(self._rank_of_fd.pop(fd))
                self._poll.unregister(fd)
                os.close(fd)
            for rank, process in list(self._polled.items()):
                with suppress(OSError):
                    if _start_ticks(process.pid) != process.start_ticks:
                        self._ended.add(rank)
                        del self._polled[rank]
            return set(self._ended)

    def pid(self, rank: int) -> int:
        """The process number of a rank, 0 if it is not watched."""
        process = self._processes.get(rank)
        return process.pid if process else 0

    def close(self) -> None:
        """Close the descriptors; `ended` then knows no more than before."""
        with self._lock:
            _close_all(self._rank_of_fd)
            self._polled.clear()
            self._poll = select.poll()

    def _open(self, rank: int, process: ProcessId) -> None:
        try:
            fd = linux.pidfd_open(process.pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                self._ended.add(rank)
            else:
                # No pidfd on this kernel, a sandbox forbids it, or no descriptor is left: look at
                # /proc at each check.
                self._polled[rank] = process
            return
        try:
            same = _start_ticks(process.pid) == process.start_ticks
        except OSError:
            os.close(fd)
            self._polled[rank] = process
            return
        if not same:
            os.close(fd)
            self._ended.add(rank)
            return
        self._rank_of_fd[fd] = rank
        self._poll.register(fd, select.POLLIN)


def _close_all(rank_of_fd: dict[int, int]) -> None:
    while rank_of_fd:
        os.close(rank_of_fd.popitem()[0])


def _start_ticks(pid: int) -> int | None:
    """When a process began, None if it has ended; OSError if that cannot be found out now."""
    # The name in parentheses may hold anything, so count fields from its end.
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            after_name = stat.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, ticks = after_name[0], int(after_name[19])
    return None if state in b"ZX" else ticks


def _host() -> str:
    with open("/proc/sys/kernel/random/boot_id") as boot_id:
        return f"{boot_id.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
