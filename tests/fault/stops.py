"""A rank that fails at each of its stops, on every course: `python -m tests.fault.stops [WORD...]`.

A stop is where a rank is about to wait for others or to show them what it did. The victim fails at
its k-th stop, for all k; the others must hear of it in time, or have ended well before it mattered,
with the right numbers; all of them must be able to leave, and to leave nothing behind. `WORD...`
takes the courses and faults that hold one of the words; `every=N` takes one stop of N.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from zmq.utils import garbage

from disttorch.comm.algorithms.pipe import Pipe
from disttorch.comm.algorithms.reach import Reach
from disttorch.comm.errors import (
    CollectiveTimeoutError,
    GroupUnusableError,
    PeerLostError,
    StoreTimeoutError,
)
from disttorch.comm.group import ProcessGroup
from disttorch.comm.mailbox import Mailbox
from disttorch.comm.mesh import SharedMesh
from disttorch.comm.store import FileStore
from disttorch.comm.tcp_mesh import TcpMesh, TcpReader, TcpWriter
from disttorch.comm.transport.ring import RingReader, RingWriter
from disttorch.comm.transport.tcp import Wire
from tests.comm import ranks
from tests.comm.ranks import Outcome, outcomes_of
from tests.fault.courses import COURSES, Step, folder_of

VICTIM = 1
TIMEOUT_S = 0.4
SOON_S = 1.0
# What is still on its way to those who do not answer is waited for as a rank leaves.
LINGER_S = 1.0
PAUSE_S, LATE_S = 0.03, 0.7
NEVER = 1 << 30
_MOMENT_S = 0.2
STOPS: tuple[tuple[type, str], ...] = (
    (FileStore, "set"),
    (FileStore, "wait"),
    (SharedMesh, "sync"),
    (SharedMesh, "wait_for"),
    (TcpMesh, "sync"),
    (TcpMesh, "take"),
    (TcpMesh, "post"),
    (Pipe, "wait"),
    (Pipe, "post"),
    (Reach, "read"),
    (Mailbox, "wait"),
    (Mailbox, "post_send"),
    (Mailbox, "post_receive"),
    (RingWriter, "write"),
    (RingReader, "read_into"),
    (Wire, "connect"),
    (TcpWriter, "write"),
    (TcpReader, "read_into"),
)


class Told(NamedTuple):
    """How a rank ended its step: the error if any, when, when it had left, and what it kept."""

    kind: type[BaseException] | None
    text: str
    ended_s: float
    closed_s: float
    kept: tuple[str, ...]
    n_stops: int


class Victim:
    """Counts the stops of this process from now on, and fails at number `at`."""

    def __init__(self, at: int, fail: Callable[[], None]) -> None:
        self._at, self._fail = at, fail
        self.n = 0
        for owner, name in STOPS:
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.n += 1
            if self.n == self._at + 1:
                self._fail()
            return call(*args, **options)

        return counted


def _interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _starved() -> None:
    raise MemoryError("no memory for a copy")


def _stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True)
class Fault:
    """What happens at a stop; in what its victim and the others may end, and how soon."""

    fail: Callable[[], None]
    others: tuple[type[Exception], ...] = (PeerLostError,)
    own: tuple[type[BaseException], ...] = ()
    limit_s: float = SOON_S
    timeout_s: float = 20.0
    continued_after_s: float = 0.0

    @property
    def lives_on(self) -> bool:
        """Whether nobody can tell the others that the victim has ended."""
        return self.fail is _stopped


_LATE = (
    CollectiveTimeoutError,
    StoreTimeoutError,
    PeerLostError,
)  # or told first by another one that gave up
FAULTS: dict[str, Fault] = {
    "killed": Fault(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "interrupted": Fault(_interrupted, own=(KeyboardInterrupt,)),
    # In the background the next call may find the group broken before anybody has waited.
    "starved": Fault(_starved, own=(MemoryError, GroupUnusableError)),
    "stopped": Fault(_stopped, _LATE, limit_s=TIMEOUT_S + SOON_S, timeout_s=TIMEOUT_S),
    "paused": Fault(_stopped, (), limit_s=PAUSE_S + SOON_S, continued_after_s=PAUSE_S),
    "continued late": Fault(
        _stopped,
        _LATE,
        own=_LATE,
        limit_s=LATE_S + SOON_S,
        timeout_s=TIMEOUT_S,
        continued_after_s=LATE_S,
    ),
}


@dataclass
class Findings:
    """What became of the jobs so far."""

    faults: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    worst: tuple[float, str] = (0.0, "")

    def add(self, what: str, end: str, seconds: float) -> None:
        """Note how one rank ended, and how long after the fault."""
        self.ends[end] += 1
        self.worst = max(self.worst, (seconds, what))


def n_stops(course: str) -> int:
    """At how many stops the victim comes by, when nothing happens; AssertionError if it failed."""
    outcomes = _Job(course, NEVER, FAULTS["paused"], np.zeros(8)).run()
    assert all(o.error is None and o.result.kind is None for o in outcomes), outcomes
    return int(outcomes[VICTIM].result.n_stops)


def check(course: str, name: str, at: int, findings: Findings) -> None:
    """Run one job in which the victim fails at one stop; take note of what is wrong about it."""
    fault = FAULTS[name]
    notes = np.frombuffer(mmap.mmap(-1, 64), np.float64)
    outcomes = _Job(course, at, fault, notes).run()
    for rank, outcome in enumerate(outcomes):
        what = f"{course}, {name} at stop {at}, rank {rank}"
        findings.faults += [f"{what}: {text}" for text in _wrong(rank, outcome, fault, notes[0])]
        told = outcome.result
        if notes[0] and told is not None and (rank != VICTIM or not fault.continued_after_s):
            end = told.kind.__name__ if told.kind else "finished"
            findings.add(what, end, told.ended_s - notes[0])


def _wrong(rank: int, outcome: Outcome, fault: Fault, failed_s: float) -> list[str]:
    told: Told | None = outcome.result
    if told is None:
        if rank == VICTIM and outcome.status == -signal.SIGKILL:
            return []
        return [f"ended with status {outcome.status}\n{outcome.trace}"]
    wrong = [f"kept {thing}" for thing in told.kept]
    if failed_s and told.ended_s - failed_s > fault.limit_s:
        wrong.append(f"was told after {told.ended_s - failed_s:.2f} s")
    if failed_s and told.closed_s - failed_s > fault.limit_s + LINGER_S:
        wrong.append(f"had left after {told.closed_s - failed_s:.2f} s")
    expected = fault.own if rank == VICTIM else fault.others
    if told.kind is None:
        return wrong
    if not failed_s or not issubclass(told.kind, expected):
        wrong.append(f"ended with {told.text}")
    elif rank != VICTIM and not re.search(rf"rank {VICTIM}\b", told.text):
        wrong.append(f"does not name the rank: {told.text}")
    return wrong


class _Job:
    """One run of a course: what its ranks do, and what they note for each other in `notes`.

    When the victim failed, its process number, and for each rank whether it has ended.
    """

    def __init__(self, course: str, at: int, fault: Fault, notes: np.ndarray) -> None:
        self._course, self._at, self._fault, self._notes = COURSES[course], at, fault, notes
        self._inherited = _held()

    def run(self) -> list[Outcome]:
        """How each rank ended; its result is a `Told` unless it was killed."""
        ranks.hosts, folder = self._course.hosts, folder_of(os.getpid())
        try:
            outcomes = outcomes_of(len(ranks.hosts), self._rank)
            if self._course.check:
                self._course.check()
            return outcomes
        finally:
            ranks.hosts = ""
            shutil.rmtree(folder, ignore_errors=True)

    def _rank(self, group: ProcessGroup) -> Told:
        steps = [self._course.prepare(group)]
        group.timeout_s = self._fault.timeout_s
        if group.rank == VICTIM:
            return self._as_victim(group, steps)
        return self._told(group, steps, None)

    def _as_victim(self, group: ProcessGroup, steps: list[Step]) -> Told:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        after_s = self._fault.continued_after_s
        signum = signal.SIGCONT if after_s else signal.SIGKILL
        helper, wake = _waker(signum, after_s or 2 * self._fault.limit_s)

        def fail() -> None:
            self._notes[1] = os.getpid()
            self._notes[0] = time.monotonic()
            if self._course.ended and not self._fault.lives_on:
                self._course.ended(VICTIM)
            os.write(wake, b".")
            self._fault.fail()

        group.barrier()
        told = self._told(group, steps, Victim(self._at, fail))
        os.close(wake)
        os.waitpid(helper, 0)
        return told

    def _told(self, group: ProcessGroup, steps: list[Step], victim: Victim | None) -> Told:
        error: BaseException | None = None
        try:
            if victim is None:
                group.barrier()
            steps[0]()
        except BaseException as caught:
            error = caught
        ended_s = time.monotonic()
        if victim is None and not self._fault.continued_after_s:
            self._end_if_last(group.rank)
        group.close()
        closed_s = time.monotonic()
        text = "" if error is None else f"{type(error).__name__}: {error}"
        kind, error = type(error) if error else None, None
        steps.clear()  # with what it holds of its own
        kept = _kept(self._inherited)
        return Told(kind, text, ended_s, closed_s, kept, victim.n if victim else 0)

    def _end_if_last(self, rank: int) -> None:
        self._notes[2 + rank] = 1
        if self._notes[1] and self._notes[2:].sum() == len(self._course.hosts) - 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._notes[1]), signal.SIGKILL)


def _waker(signum: int, after_s: float) -> tuple[int, int]:
    """A process that sends this one a signal, some time after it was told to by a byte."""
    read_end, write_end = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(read_end)
        return pid, write_end
    # Whoever waits for the end of a pipe of the rank does not wait for this process.
    os.closerange(3, read_end)
    os.closerange(read_end + 1, os.sysconf("SC_OPEN_MAX"))
    if os.read(read_end, 1):
        until_s = time.monotonic() + after_s
        while os.getppid() == parent and time.monotonic() < until_s:
            time.sleep(1e-2)
        if os.getppid() == parent:
            os.kill(parent, signum)
    os._exit(0)


def _kept(inherited: set[str]) -> tuple[str, ...]:
    """What this process holds that it did not inherit, a moment after its threads were joined."""
    garbage.gc.stop()  # pyzmq's own, of which there is one in a process
    # An error that came from a thread is part of a cycle wherever the caller has named its handle.
    gc.collect()
    until_s = time.monotonic() + _MOMENT_S
    while (held := _held() - inherited) and time.monotonic() < until_s:
        time.sleep(1e-3)
    return tuple(sorted(held))


def _held() -> set[str]:
    """What this process has open, mapped and running, apart from pipes and plain memory."""
    held = {f"thread {i}" for i, _ in enumerate(os.listdir("/proc/self/task")) if i}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            held.add(os.readlink(f"/proc/self/fd/{fd}"))
    with open("/proc/self/maps") as maps:
        held |= {"a mapping of memfd" for line in maps if "memfd:disttorch" in line}
    return {thing for thing in held if not thing.startswith(("pipe:", "/proc/", "/dev/"))}


def main(words: list[str]) -> int:
    """Try every course, fault and stop that `words` take; returns how many things went wrong."""
    every = int(next((word[6:] for word in words if word.startswith("every=")), 1))
    names = [word for word in words if not word.startswith("every=")]
    findings, n_jobs, began_s = Findings(), 0, time.monotonic()
    for course in COURSES:
        stops = None
        for name in FAULTS:
            if names and not any(word in course or word == name for word in names):
                continue
            stops = n_stops(course) if stops is None else stops
            for at in range(n_jobs % every, stops, every):
                check(course, name, at, findings)
                n_jobs += 1
        while findings.faults:
            print(findings.faults.pop(0), flush=True)
            findings.ends["WRONG"] += 1
        if stops is not None:
            print(f"{time.monotonic() - began_s:6.0f} s {course}: {stops} stops", flush=True)
    seconds, what = findings.worst
    print(f"{n_jobs} jobs; ranks ended: {dict(findings.ends)}; latest {seconds:.2f} s ({what})")
    return findings.ends["WRONG"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
