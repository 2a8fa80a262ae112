"""Looks at the ranks while they run: notices stalls, collects stacks, answers other commands."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from disttorch.comm import status
from disttorch_launcher import control, linux, stall, whereabouts
from disttorch_launcher.host_link import HostLink
from disttorch_launcher.job_store import JobStore
from disttorch_launcher.snapshot import snapshot
from disttorch_launcher.stacks import STACK_SIGNAL, StackRequest, all_lines
from disttorch_launcher.whereabouts import Whereabouts

Done = Callable[[Mapping[int, str]], None]


class Observer:
    """`pids` are the living ranks, `send` passes a signal to some of them, `note` prints,
    `counted` is what a rank has counted. Over a `link` the ranks of other hosts are looked at, too.
    """

    def __init__(
        self,
        run_dir: Path,
        stall_s: float,
        pids: Mapping[int, int],
        send: Callable[[frozenset[int], int], None],
        note: Callable[[str], None],
        counted: Callable[[int], dict[str, int]],
        link: HostLink | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._stall_s = stall_s
        self._every_s = stall.check_every_s(stall_s)
        self._pids = pids
        self._send = send
        self._note = note
        self._counted = counted
        self._link = link
        self._restarts = 0
        self._store: JobStore | None = None
        self._told: tuple[object, ...] | None = None
        self._reported = False  # what was last told is on the screen
        self._stacks: tuple[str, ...] = ()  # for the other hosts
        self._shown: dict[int, tuple[str, ...]] = {}  # of the other hosts'
        self._joined: set[int] = set()
        self._first_joined_s = 0.0
        self._requests: list[tuple[StackRequest, Done]] = []
        self._next_check_s = time.monotonic() + self._every_s
        self.server = control.ControlServer(run_dir)

    def started(self, restarts: int, store: JobStore) -> None:
        """The ranks have been started, as attempt number `restarts`."""
        self._restarts, self._store = restarts, store
        self._told, self._reported, self._stacks = None, False, ()
        self._joined.clear()
        self._next_check_s = time.monotonic() + self._every_s

    def went_on(self) -> None:
        """The job had been stopped as a whole: that was no stall."""
        self._next_check_s = time.monotonic() + self._stall_s

    def timed_out(self) -> None:
        """A rank has given up waiting: say for whom, and where that is, before all are stopped."""
        self._check(time.monotonic(), after_s=0.0)

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
            self._check(now_s, self._stall_s)

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

    def _check(self, now_s: float, after_s: float) -> None:
        found = self._suspicion(now_s, after_s)
        if found is None:
            self._stacks = ()
        if found is None or found.key == self._told:
            return
        self._told, self._reported = found.key, False
        pids = dict(self._pids)
        self._ask(
            frozenset(found.blamed) & pids.keys(),
            lambda answers: self._report(found, answers, pids),
        )

    def _report(
        self, found: stall.Suspicion, answers: Mapping[int, str], pids: Mapping[int, int]
    ) -> None:
        self._note("\n".join(found.lines(answers, pids)))
        self._reported = True
        if self._link is not None:
            self._stacks = tuple(found.stacks(answers, pids, self._link.node))

    def _suspicion(self, now_s: float, after_s: float) -> stall.Suspicion | None:
        place = self._own_place(now_s)
        if not place.alive:
            return None
        if self._link is not None:
            place = self._all_places(self._link, place, now_s)
        if not place.alive <= place.joined:
            waited_s = now_s - place.joining_since_s
            found = stall.suspect_joining(place.joined, place.alive, waited_s, after_s)
        elif any(place.records.values()):
            found = stall.suspect(place.records, now_s, after_s)
        else:
            return None
        return found and replace(found, host_of=place.host_of)

    def _own_place(self, now_s: float) -> Whereabouts:
        alive = frozenset(self._pids)
        if self._store is not None:
            new = {rank for rank in alive - self._joined if self._store.has_joined(rank)}
            if new and not self._joined:
                self._first_joined_s = now_s
            self._joined |= new
        # Before all have joined no call begins.
        ranks = sorted(alive) if alive <= self._joined else ()
        records = {rank: self._records(rank) for rank in ranks}
        joined = frozenset(self._joined)
        return Whereabouts(alive, joined, self._first_joined_s, records, self._stacks)

    def _all_places(self, link: HostLink, own: Whereabouts, now_s: float) -> Whereabouts:
        link.tell_where(whereabouts.pack(own, self._restarts, now_s))
        if link.stands_still:
            self.went_on()
            return replace(own, alive=frozenset(), joined=frozenset(), records={})
        others = {
            node: whereabouts.unpack(told, node, seen_s)
            for node, (seen_s, told) in link.elsewhere.items()
            if told["restarts"] == self._restarts
        }
        self._show_stacks(others)
        return whereabouts.merged([own, *others.values()])

    def _show_stacks(self, others: Mapping[int, Whereabouts]) -> None:
        """What the launchers of other hosts have learnt of ranks that keep ours waiting."""
        for node, place in others.items():
            if self._reported and place.stacks and self._shown.get(node) != place.stacks:
                self._shown[node] = place.stacks
                self._note("\n".join(place.stacks))

    def _records(self, rank: int) -> list[status.Record]:
        return status.read(status.page_path(str(self._run_dir), self._restarts, rank))

    def _ask(self, ranks: frozenset[int], done: Done) -> None:
        request = StackRequest(str(self._run_dir), self._restarts, ranks, time.monotonic())
        # A rank that has become another program (exec) has lost its handler, and would die.
        asked = [r for r in request.asked if linux.catches(self._pids.get(r, 0), STACK_SIGNAL)]
        self._send(frozenset(asked), STACK_SIGNAL)
        self._requests.append((request, done))

    def _tell_stacks(self, caller: socket.socket, answers: Mapping[int, str]) -> None:
        content: dict[str, Any] = {"lines": all_lines(answers, dict(self._pids))}
        control.answer(caller, content)
