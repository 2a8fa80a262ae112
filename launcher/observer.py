"""Looks at the ranks while they run: notices stalls, collects stacks, answers other commands."""

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from disttorch.comm import status
from disttorch_launcher import control, linux, stall
from disttorch_launcher.job_store import JobStore
from disttorch_launcher.snapshot import snapshot
from disttorch_launcher.stacks import STACK_SIGNAL, StackRequest, all_lines

Done = Callable[[Mapping[int, str]], None]


class Observer:
    """`pids` are the living ranks, `send` passes a signal to some of them, `note` prints,
    `counted` is what a rank has counted.
    """

    def __init__(
        self,
        run_dir: Path,
        stall_s: float,
        pids: Mapping[int, int],
        send: Callable[[frozenset[int], int], None],
        note: Callable[[str], None],
        counted: Callable[[int], dict[str, int]],
    ) -> None:
        self._run_dir = run_dir
        self._stall_s = stall_s
        self._every_s = stall.check_every_s(stall_s)
        self._pids = pids
        self._send = send
        self._note = note
        self._counted = counted
        self._restarts = 0
        self._store: JobStore | None = None
        self._told: tuple[object, ...] | None = None
        self._joined: set[int] = set()
        self._first_joined_s = 0.0
        self._requests: list[tuple[StackRequest, Done]] = []
        self._next_check_s = time.monotonic() + self._every_s
        self.server = control.ControlServer(run_dir)

    def started(self, restarts: int, store: JobStore) -> None:
        """The ranks have been started, as attempt number `restarts`."""
        self._restarts, self._store = restarts, store
        self._told = None
        self._joined.clear()
        self._next_check_s = time.monotonic() + self._every_s

    def went_on(self) -> None:
        """The job had been stopped as a whole: that was no stall."""
        self._next_check_s = time.monotonic() + self._stall_s

    @property
    def due_s(self) -> float:
        """When `tick` has something to do."""
        return min([self._next_check_s, *(request.due_s for request, _ in self._requests)])

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        for entry in list(self._requests):
            request, done = entry
            if request.due_s <= now_s and request.look(now_s):
                self._requests.remove(entry)
                done(request.answers)
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + self._every_s
            self._check(now_s)

    def on_call(self) -> None:
        """Somebody has connected to the control socket."""
        accepted = self.server.accept()
        if accepted is None:
            return
        caller, request = accepted
        if request.get("op") == "stacks":
            self._ask(frozenset(self._pids), lambda answers: self._tell_stacks(caller, answers))
        elif request.get("op") == "snapshot":
            now = snapshot(self._run_dir, self._restarts, dict(self._pids), self._counted)
            control.answer(caller, now)
        else:
            control.answer(caller, {"error": "unknown request"})

    def close(self) -> None:
        """Answer nobody any more, and say nothing: the job's report is the last on the screen."""
        self.server.close()
        self._note = lambda text: None
        for _, done in self._requests:
            done({})
        self._requests.clear()

    def _check(self, now_s: float) -> None:
        found = self._suspicion(now_s)
        if found is None or found.key == self._told:
            return
        self._told = found.key
        pids = dict(self._pids)
        self._ask(
            frozenset(found.blamed),
            lambda answers: self._note("\n".join(found.lines(answers, pids))),
        )

    def _suspicion(self, now_s: float) -> stall.Suspicion | None:
        alive = frozenset(self._pids)
        if not alive:
            return None
        joining = self._joining(alive, now_s)
        if joining is not None or len(self._joined) < len(alive):
            return joining
        job = {rank: self._records(rank, now_s) for rank in sorted(alive)}
        if not any(job.values()):
            return None
        return stall.suspect(job, now_s, self._stall_s)

    def _records(self, rank: int, now_s: float) -> list[status.Record]:
        return status.read(status.page_path(str(self._run_dir), self._restarts, rank))

    def _joining(self, alive: frozenset[int], now_s: float) -> stall.Suspicion | None:
        if self._store is None or alive <= self._joined:
            return None
        new = {rank for rank in alive - self._joined if self._store.has_joined(rank)}
        if new and not self._joined:
            self._first_joined_s = now_s
        self._joined |= new
        waited_s = now_s - self._first_joined_s
        return stall.suspect_joining(frozenset(self._joined), alive, waited_s, self._stall_s)

    def _ask(self, ranks: frozenset[int], done: Done) -> None:
        request = StackRequest(str(self._run_dir), self._restarts, ranks, time.monotonic())
        # A rank that has become another program (exec) has lost its handler, and would die.
        asked = [r for r in request.asked if linux.catches(self._pids.get(r, 0), STACK_SIGNAL)]
        self._send(frozenset(asked), STACK_SIGNAL)
        self._requests.append((request, done))

    def _tell_stacks(self, caller: socket.socket, answers: Mapping[int, str]) -> None:
        content: dict[str, Any] = {"lines": all_lines(answers, dict(self._pids))}
        control.answer(caller, content)
