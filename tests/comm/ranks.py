"""Runs a function as the ranks of a job: real processes, forked, with a real store."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import StoreServer, ZmqStore

TEST_TIMEOUT_S = 60.0

hosts = ""
"""Each character names the host that a rank takes itself to be on, `aab`; for tests to set."""


@dataclass
class Outcome:
    """How one rank ended: its result or error, and its wait status."""

    result: Any = None
    error: BaseException | None = None
    trace: str = ""
    status: int | None = None
    ended_s: float = 0.0


class RankFailed(AssertionError):
    """A rank raised; the message is its own traceback."""


def run_ranks(
    n_ranks: int, body: Callable[[ProcessGroup], Any], *, timeout_s: float = TEST_TIMEOUT_S
) -> list[Any]:
    """Results of `body(group)` on each rank; raises RankFailed with a failed rank's traceback."""
    outcomes = outcomes_of(n_ranks, body, timeout_s=timeout_s)
    for rank, outcome in enumerate(outcomes):
        if outcome.error is not None or outcome.status != 0:
            raise RankFailed(f"rank {rank} (status {outcome.status}):\n{outcome.trace}")
    return [outcome.result for outcome in outcomes]


def outcomes_of(
    n_ranks: int, body: Callable[[ProcessGroup], Any], *, timeout_s: float = TEST_TIMEOUT_S
) -> list[Outcome]:
    """How each rank of `body(group)` ended, be it by a signal."""
    with _serving() as address:
        children = [
            _fork(lambda out, r=r: _rank(out, r, n_ranks, address, body, timeout_s))
            for r in range(n_ranks)
        ]
        try:
            return _collect(children)
        finally:
            for pid, _ in children:
                _kill(pid)


class StandingRanks:
    """Ranks that stay and run `body(group, message)` on each message that they are told."""

    def __init__(self, n_ranks: int, body: Callable[[ProcessGroup, Any], None]) -> None:
        self._resources = contextlib.ExitStack()
        address = self._resources.enter_context(_serving())
        self._ends = []
        for rank in range(n_ranks):
            ours, theirs = multiprocessing.Pipe()
            pid, read_end = _fork(
                lambda _, r=rank, end=theirs: _stand(end, r, n_ranks, address, body)
            )
            theirs.close()
            self._ends.append(ours)
            self._resources.callback(os.close, read_end)
            self._resources.callback(ours.close)
            self._resources.callback(_kill, pid)

    def tell(self, message: object) -> None:
        """Return when all ranks have run the body; raises RankFailed with a failed one's trace."""
        for end in self._ends:
            end.send(message)
        traces = [end.recv() if end.poll(TEST_TIMEOUT_S) else "no answer" for end in self._ends]
        for rank, trace in enumerate(traces):
            if trace:
                raise RankFailed(f"rank {rank}:\n{trace}")

    def close(self) -> None:
        """End the ranks."""
        self._resources.close()


def _stand(
    end: Connection,
    rank: int,
    n_ranks: int,
    address: str,
    body: Callable[[ProcessGroup, Any], None],
) -> None:
    _go_to_host(rank)
    with ZmqStore(address, TEST_TIMEOUT_S) as store:
        group = ProcessGroup.from_env(RankEnv(rank, n_ranks), store, TEST_TIMEOUT_S / 4)
    while True:
        message = end.recv()
        signal.alarm(int(TEST_TIMEOUT_S))
        try:
            body(group, message)
        except BaseException:
            end.send(traceback.format_exc())
        else:
            end.send("")


@contextlib.contextmanager
def _serving() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        address = f"ipc://{directory}/store.sock"
        server, stop = _fork(lambda _: _serve(address, os.getppid()))
        try:
            yield address
        finally:
            os.close(stop)
            _kill(server)


def _rank(
    out: int,
    rank: int,
    n_ranks: int,
    address: str,
    body: Callable[[ProcessGroup], Any],
    timeout_s: float,
) -> None:
    outcome = Outcome()
    _go_to_host(rank)
    try:
        with ZmqStore(address, timeout_s) as store:
            group = ProcessGroup.from_env(RankEnv(rank, n_ranks), store, timeout_s)
        outcome.result = body(group)
        group.close()
    except BaseException as error:
        outcome.error, outcome.trace = error, traceback.format_exc()
    outcome.ended_s = time.monotonic()
    with os.fdopen(out, "wb") as pipe:
        pipe.write(_packed(outcome))


def _packed(outcome: Outcome) -> bytes:
    try:
        data = pickle.dumps(outcome)
        pickle.loads(data)
    except Exception as error:
        # Not to be lost, or the rank would count as one that ended well: pytest's own failures,
        # such as that of `raises`, cannot be pickled.
        outcome.trace = outcome.trace or f"what it returned cannot be sent: {error!r}"
        outcome.result, outcome.error = None, AssertionError(outcome.trace)
        data = pickle.dumps(outcome)
    return data


def _go_to_host(rank: int) -> None:
    if hosts:
        os.environ["DISTTORCH_HOST_ID"] = hosts[rank]


def _serve(address: str, parent: int) -> None:
    with StoreServer(address) as server:
        while os.getppid() == parent:
            server.step(0.2)


def _fork(body: Callable[[int], None]) -> tuple[int, int]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        return pid, read_end
    try:
        os.close(read_end)
        signal.alarm(int(TEST_TIMEOUT_S * 2))
        body(write_end)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    finally:
        # Not sys.exit: the child must not run the test runner's own exit handlers.
        os._exit(0)


def _collect(children: list[tuple[int, int]]) -> list[Outcome]:
    received = {read_end: b"" for _, read_end in children}
    open_ends = set(received)
    deadline_s = time.monotonic() + TEST_TIMEOUT_S * 1.5
    while open_ends and time.monotonic() < deadline_s:
        for end in select.select(list(open_ends), [], [], 1.0)[0]:
            data = os.read(end, 1 << 16)
            received[end] += data
            if not data:
                open_ends.discard(end)
    outcomes = []
    for pid, end in children:
        outcome = pickle.loads(received[end]) if received[end] else Outcome()
        os.close(end)
        if end not in open_ends:
            outcome.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        outcomes.append(outcome)
    return outcomes


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
