"""Worker processes of a loader: started, fed, watched, replaced when killed, ended in time."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import warnings
from collections import deque
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from typing import Any

from disttorch.utils.data.worker import Task, UseRing, WorkerSetup, run_worker

_END_S = 1.0  # all workers together get this long to leave before they are killed
_MAX_DEATHS = 3  # a task that was lost so often is not given to a fourth worker


@dataclass
class _Member:
    """One worker process and the tasks it has not answered."""

    process: Any
    pipe: connection.Connection
    tasks: deque[Task] = field(default_factory=deque)


class WorkerPool:
    """`setup.num_workers` processes with a duplex pipe each; the loader is the only other end."""

    def __init__(self, setup: WorkerSetup, context: Any) -> None:
        self._setup = setup
        self._context = context
        self._use_ring: UseRing | None = None
        self._deaths: dict[tuple[int, int], int] = {}
        self._members: list[_Member] = []
        # All are started before any is waited for.
        for worker_id in range(setup.num_workers):
            self._members.append(self._start(worker_id))

    def __len__(self) -> int:
        return len(self._members)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers."""
        return [member.process.pid for member in self._members]

    def _start(self, worker_id: int) -> _Member:
        ours, theirs = self._context.Pipe(duplex=True)
        setup: Any = replace(self._setup, worker_id=worker_id)
        forked = self._context.get_start_method() == "fork"
        to_close = [m.pipe for m in self._members] + [ours] if forked else []
        target, args = run_worker, (setup, theirs, to_close)
        if not forked:
            target, args = _run_pickled, (_pickled(setup), theirs)  # type: ignore[assignment]
        process = self._context.Process(target=target, args=args, daemon=True)
        with warnings.catch_warnings():
            # Python warns of threads in the parent; the child uses none of their state.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", Warning)
            process.start()
        theirs.close()
        return _Member(process, ours)

    def submit(self, worker_id: int, task: Task) -> None:
        """Give a task to a worker; a dead worker's tasks are given to its successor later."""
        member = self._members[worker_id]
        member.tasks.append(task)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            member.pipe.send(task)

    def tell_all(self, message: Any) -> None:
        """Send a message that is not answered to every worker; successors get the ring's too."""
        if isinstance(message, UseRing):
            self._use_ring = message
        else:
            self._setup = replace(self._setup, base_seed=message.base_seed)
        for member in self._members:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                member.pipe.send(message)

    def answers(self, timeout_s: float | None) -> list[Any]:
        """Wait for answers and return those that have come; empty after `timeout_s`.

        Raises RuntimeError when a worker died and cannot be replaced.
        """
        pipes = {member.pipe: i for i, member in enumerate(self._members)}
        sentinels = {member.process.sentinel: i for i, member in enumerate(self._members)}
        ready = connection.wait([*pipes, *sentinels], timeout_s)
        answers = []
        for source in ready:
            if source in pipes:
                answers += self._receive(self._members[pipes[source]])
        for source in ready:
            if source in sentinels:
                self._replace(sentinels[source])
        return answers

    @staticmethod
    def _receive(member: _Member) -> list[Any]:
        """All answers in a worker's pipe; a pipe that ended says nothing, its sentinel does."""
        answers = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while member.pipe.poll():
                answers.append(member.pipe.recv())
                member.tasks.popleft()
        return answers

    def _replace(self, worker_id: int) -> None:
        """Start a successor for a dead worker and give it the tasks that were lost."""
        dead = self._members[worker_id]
        dead.process.join()
        code, pid = dead.process.exitcode, dead.process.pid
        dead.pipe.close()
        for task in list(dead.tasks)[:1]:  # the one it was working on
            key = (task.batch, task.part)
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] >= _MAX_DEATHS:
                raise RuntimeError(
                    f"DataLoader worker (pid(s) {pid}) exited unexpectedly: {_MAX_DEATHS} workers "
                    f"died ({_describe(code)}) on the samples {task.indices}"
                )
        if self._setup.stream:
            raise RuntimeError(
                f"DataLoader worker (pid(s) {pid}) exited unexpectedly ({_describe(code)}); the "
                "position in its iterable dataset is lost with it"
            )
        warnings.warn(
            f"DataLoader worker {worker_id} (pid {pid}) was lost: {_describe(code)}; a new worker "
            f"takes over its {len(dead.tasks)} outstanding task(s)",
            stacklevel=5,
        )
        member = self._members[worker_id] = self._start(worker_id)
        if self._use_ring is not None:
            member.pipe.send(self._use_ring)
        for task in dead.tasks:
            self.submit(worker_id, task)

    def close(self) -> None:
        """End the workers: their pipes close, those still there after a second are killed."""
        deadline = time.monotonic() + _END_S
        for member in self._members:
            member.pipe.close()
        for member in self._members:
            member.process.join(max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join(_END_S)
            member.process.close()
        self._members = []


def _describe(exit_code: int | None) -> str:
    """Say how a process ended."""
    if exit_code is None or exit_code >= 0:
        return f"exit status {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"killed by {name}" + (", likely out of memory" if name == "SIGKILL" else "")


def _pickled(setup: WorkerSetup) -> bytes:
    import cloudpickle  # noqa: PLC0415 - only workers that are not forked need it

    return bytes(cloudpickle.dumps(setup))


def _run_pickled(setup: bytes, pipe: connection.Connection) -> None:
    """Entry of a spawned worker."""
    import cloudpickle  # noqa: PLC0415

    run_worker(cloudpickle.loads(setup), pipe, [])


def default_context() -> Any:
    """How workers are started unless the user says otherwise: by fork where the platform has it."""
    methods = multiprocessing.get_all_start_methods()
    chosen = multiprocessing.get_start_method(allow_none=True)
    return multiprocessing.get_context(chosen or ("fork" if "fork" in methods else "spawn"))
