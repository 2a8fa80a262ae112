"""The one loop: what happens becomes an event, what `supervisor` decides is done here."""

import contextlib
import math
import os
import select
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from disttorch.comm.counters import CounterBoard
from disttorch.linux import pidfd_open
from disttorch_launcher import failures, linux, report_file, supervisor
from disttorch_launcher.channel import Channel
from disttorch_launcher.config import LaunchConfig, ScriptKind
from disttorch_launcher.console import Console
from disttorch_launcher.error_file import read_error
from disttorch_launcher.host_link import HostLink
from disttorch_launcher.hosts import HostCause, HostEnd
from disttorch_launcher.job_store import JobStore
from disttorch_launcher.log_files import LogFiles
from disttorch_launcher.logs import RankLogs, RankPipe
from disttorch_launcher.observer import Observer
from disttorch_launcher.outcome import ErrorRecord, RankExit
from disttorch_launcher.placement import cores_for, threads_for
from disttorch_launcher.ranks import JobEnv, assign_ranks, error_file, rank_environ
from disttorch_launcher.rendezvous import Meeting
from disttorch_launcher.run_directory import RunDirectory
from disttorch_launcher.signals import FORWARDED_SIGNALS, STOP_SIGNALS, SignalPipe, signal_name
from disttorch_launcher.supervisor import Action, Event, Phase, Policy, State

FLUSH_S = 5.0
ZYGOTE_EXIT_S = 3.0  # it may itself wait two seconds for what the ranks have left behind
TIME_OUT = "CollectiveTimeoutError"
# Failures that a new attempt would only repeat.
USAGE_ERRORS = ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError")


class Agent:
    """Runs one job to its end; `zygote` is the process that forks its ranks."""

    def __init__(
        self,
        config: LaunchConfig,
        zygote: Channel,
        zygote_pid: int,
        run_directory: RunDirectory,
        outer: Mapping[str, str],
        board: CounterBoard,
        log_folder: Path | None = None,
        meeting: Meeting | None = None,
    ) -> None:
        self._config = config
        self._zygote = zygote
        self._zygote_pid = zygote_pid
        self._run_directory = run_directory
        self._outer = outer
        self._board = board
        # Of two ranks' equal lines both are shown: it is the crowd that hides things.
        collapsed = config.n_ranks if config.logs.collapse and config.n_ranks > 2 else 0
        self._console = Console(1, 2, outer, collapsed)
        self._meeting = meeting
        self._link = HostLink(meeting, config.max_restarts) if meeting else None
        self._told_attempt = -1  # whose end the other hosts know
        self._slots = meeting.slots if meeting else assign_ranks([config.n_ranks], 0)
        self._files = LogFiles(config.logs, log_folder, self._slots)
        self._logs = RankLogs(self._console, self._files)
        self._selector = selectors.PollSelector()
        self._paused: list[RankPipe] = []
        self._pids: dict[int, int] = {}
        self._notices: dict[int, int] = {}  # rank -> pipe that tells that its script has failed
        self._told_to_stop_ns: dict[int, int] = {}
        self._tails: dict[int, str] = {}
        self._store: JobStore | None = None
        self._zygote_lost = False
        self._state = State(self._policy())
        stall_s = min(config.stall_s, config.timeout_s / 2)
        self._observer = Observer(
            run_directory.path, stall_s, self._pids, self._pass_on, self._console.note,
            lambda rank: board.read(rank - self._slots[0].rank), self._link,
        )  # fmt: skip

    def run(self, signal_mask: Iterable[int]) -> int:
        """Start the ranks, watch them to their end, report; returns the exit status.

        Signals count under `signal_mask` from here to the report; before and after, they are
        blocked.
        """
        wanted = dict.fromkeys((*self._config.signals, signal.SIGTSTP))
        handled = [s for s in wanted if signal.getsignal(s) != signal.SIG_IGN]
        signals = SignalPipe(handled)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
        linux.adopt_orphans()  # if the zygote is killed, its ranks come to us
        try:
            self._watch(self._zygote, self._on_zygote)
            self._watch(signals, lambda: self._on_signals(signals))
            self._watch(self._observer.server, self._observer.on_call)
            if self._link is not None:
                self._link.start()
                self._watch(self._link, self._on_hosts)
            self._apply(*supervisor.begin(self._state.policy))
            while self._state.phase is not Phase.DONE:
                self._turn()
        finally:
            self._close()
            signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)
            signals.close()
        return self._state.status or 0

    def _policy(self) -> Policy:
        return Policy(
            ranks=frozenset(slot.rank for slot in self._slots),
            several_hosts=self._meeting is not None,
            max_restarts=self._config.max_restarts,
            grace_s=self._config.grace_s,
        )

    # Events

    def _turn(self) -> None:
        """Wait for something to happen, or for the next deadline, and deal with it."""
        self._watch_outlets()
        due_s = min(self._state.deadline_s, self._console.due_s, self._observer.due_s)
        wait_s = due_s - time.monotonic()
        ready = self._selector.select(None if wait_s == math.inf else max(0.0, wait_s))
        for key, _ in ready:
            # What was handled before may have closed this one, or opened another in its place.
            if self._selector.get_map().get(key.fd) is key:
                handle: Callable[[], None] = key.data
                handle()
        self._console.tick(time.monotonic())
        self._observer.tick(time.monotonic())
        self._happened(supervisor.Tick(time.monotonic()))

    def _happened(self, event: Event) -> None:
        self._apply(*supervisor.step(self._state, event))

    def _on_signals(self, signals: SignalPipe) -> None:
        for signum in signals.drain():
            if signum == signal.SIGTSTP:
                self._stand_still()
            else:
                self._happened(supervisor.SignalReceived(signum, time.monotonic()))

    def _stand_still(self) -> None:
        """Ctrl-Z: all ranks and what they have started stop, then this process, until `fg`."""
        ranks = frozenset(self._pids)
        self._pass_on(ranks, signal.SIGSTOP, group=True)
        if self._link is not None:
            self._link.stand_still(True)
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._link is not None:
            self._link.stand_still(False)
        self._pass_on(ranks, signal.SIGCONT, group=True)
        self._observer.went_on()

    def _on_zygote(self) -> None:
        message, _ = self._zygote.receive()
        if message is None:
            self._selector.unregister(self._zygote)
            self._zygote_lost = True
            self._lost_zygote()
        elif message["op"] == "started":
            self._pids[message["rank"]] = message["pid"]
        elif message["op"] == "refused":
            record = ErrorRecord(time.monotonic_ns(), "OSError", f"cannot fork: {message['error']}")
            self._rank_ended(message["rank"], 1, record.at_ns, record)
        else:
            rank, code = message["rank"], message["code"]
            self._rank_ended(rank, code, message["at_ns"], self._record(rank) if code else None)

    def _on_notice(self, rank: int) -> None:
        """A rank's script has failed; its process may still be busy with its exit handlers."""
        self._close_notice(rank)
        record = self._record(rank)
        if record is not None:
            if record.type_name.endswith(TIME_OUT):
                self._observer.timed_out()
            now_ns = time.monotonic_ns()
            failing = RankExit(rank, 1, now_ns, record=record)
            self._happened(supervisor.RankFailing(failing, now_ns / 1e9))

    def _record(self, rank: int) -> ErrorRecord | None:
        return read_error(error_file(self._job_env(), rank))

    def _rank_ended(self, rank: int, code: int, at_ns: int, record: ErrorRecord | None) -> None:
        self._unwatch_pipes(rank)
        self._close_notice(rank)
        self._tails[rank] = self._logs.close_rank(rank, time.monotonic()).decode(errors="replace")
        self._pids.pop(rank, None)
        failed_at_ns = record.at_ns if record else at_ns
        rank_exit = RankExit(
            rank=rank,
            code=code,
            at_ns=at_ns,
            joined=code == 0 or self._worth_restarting(rank, record),
            stopped=failed_at_ns >= self._told_to_stop_ns.get(rank, failed_at_ns + 1),
            record=record,
        )
        if self._store is not None and len(self._state.alive) > 1:
            self._store.rank_ended(rank, failures.how_it_ended(rank_exit))
        self._happened(supervisor.RankExited(rank_exit, time.monotonic()))

    def _worth_restarting(self, rank: int, record: ErrorRecord | None) -> bool:
        if self._config.max_restarts == 0:
            return False  # nobody will ask
        if self._config.kind is ScriptKind.PROGRAM or self._slots[0].world_size == 1:
            # No process group to have joined: go by the kind of error.
            return record is None or not _is_usage_error(record)
        return self._store is not None and self._store.has_joined(rank)

    def _lost_zygote(self) -> None:
        """The ranks die with their parent; what they started has to be told."""
        for pid in self._pids.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        for rank in list(self._pids):
            self._unwatch_pipes(rank)
            self._close_notice(rank)
            self._logs.close_rank(rank, time.monotonic())
        self._happened(supervisor.ZygoteLost(time.monotonic()))

    def _on_pipe(self, pipe: RankPipe) -> None:
        self._logs.read(pipe, time.monotonic())
        if pipe.ended:
            self._selector.unregister(pipe)

    # Actions

    def _apply(self, state: State, actions: Sequence[Action]) -> None:
        self._state = state
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case supervisor.StartRanks(restarts):
                self._start_ranks(restarts)
            case supervisor.SendSignal(ranks, signum):
                self._send_signal(ranks, signum)
            case supervisor.Announce(rank_exit):
                self._console.note(failures.announcement(rank_exit))
                how = f"rank {rank_exit.rank} {failures.how_it_ended(rank_exit)}"
                if not rank_exit.is_consequence:
                    self._tell_cause(how, rank_exit.status)
            case supervisor.AnnounceHost(cause):
                self._console.note(failures.host_announcement(cause))
            case supervisor.AnnounceStop(signum):
                self._console.note(failures.stop_note(signum, self._config.grace_s))
                self._tell_cause(f"stopped by {signal_name(signum)}", 128 + signum)
            case supervisor.AnnounceRestart(exits, restarts, elsewhere):
                n_restarts = self._config.max_restarts
                note = failures.restart_note(exits, restarts, n_restarts, elsewhere)
                self._console.note(note)
                self._keep_collectives(restarts - 1)
            case supervisor.TellEnd(status):
                self._tell_end(status)
            case supervisor.TellStop(signum):
                self._tell_stop(signum)
            case supervisor.AnnounceWait() if self._link is not None:
                self._console.note(failures.wait_note(self._link.running))
            case supervisor.Finish(status):
                self._finish(self._job_end(status))

    def _on_hosts(self) -> None:
        for event in self._link.news() if self._link else ():
            if isinstance(event, supervisor.HostFailed) and TIME_OUT in event.cause.how:
                self._observer.timed_out()
            self._happened(event)

    def _tell_cause(self, how: str, status: int) -> None:
        if self._link is not None:
            cause = HostCause(self._link.node, how, status)
            self._link.tell_cause(cause, self._state.restarts)

    def _tell_end(self, status: int) -> None:
        """Tell the other hosts, once an attempt, how the ranks of this one have ended."""
        restarts = self._state.restarts
        if self._link is not None and self._told_attempt != restarts:
            self._told_attempt = restarts
            cause = failures.host_cause(self._link.node, self._job_end(status))
            end = HostEnd(self._link.node, status, cause, self._state.stop_requested)
            self._link.tell_end(end, restarts)

    def _tell_stop(self, signum: int) -> None:
        if self._link is not None:
            self._link.tell_stop(failures.stop_cause(self._link.node, signum, 128 + signum))

    def _finish(self, end: failures.JobEnd) -> None:
        self._tell_end(end.status)
        self._console.note(failures.report(end))
        if end.status:
            self._keep_collectives(self._state.restarts)
        if self._files.folder is not None:
            run_id, restarts = self._files.folder.name, self._state.restarts
            failed = report_file.write(self._files.folder, end, run_id, restarts)
            self._warn(failed)

    def _keep_collectives(self, restarts: int) -> None:
        self._warn(self._files.keep_collectives(self._run_directory.path, restarts))

    def _warn(self, text: str) -> None:
        """A line of the launcher's own; nothing for an empty text."""
        self._console.note(f"{failures.NAME}: {text}" if text else "")

    def _start_ranks(self, restarts: int) -> None:
        if self._store is not None:
            self._store.close()
        self._told_to_stop_ns.clear()
        self._tails.clear()
        self._board.clear()
        self._warn(self._files.open_attempt(restarts))
        self._store = JobStore(self._run_directory.path, restarts, self._meeting)
        job = self._job_env()
        for slot in self._slots:
            pipes, theirs = self._logs.open(slot.rank)
            self._notices[slot.rank], notice_fd = os.pipe()
            theirs.append(notice_fd)
            env = rank_environ(slot, job, self._outer)
            cores = cores_for(self._config, slot.local_rank)
            start = {"op": "start", "rank": slot.rank, "env": env, "cores": cores}
            self._zygote.send(start, theirs)
            for fd in theirs:
                os.close(fd)
            for pipe in pipes:
                self._watch_pipe(pipe)
            self._watch(self._notices[slot.rank], partial(self._on_notice, slot.rank))
        self._observer.started(restarts, self._store)

    def _job_env(self) -> JobEnv:
        config = self._config
        return JobEnv(
            run_id=self._run_directory.path.name,
            run_dir=str(self._run_directory.path),
            store=self._store.address if self._store else "",
            timeout_s=config.timeout_s,
            max_restarts=config.max_restarts,
            restart_count=self._state.restarts,
            n_threads=threads_for(config, self._outer),
            keep_threads=config.n_threads is None,
            role=config.role,
            name=config.run_id,
            extra=config.env,
            virtual_local_rank=config.virtual_local_rank,
            master=(config.hosts.address, config.hosts.port) if self._meeting else None,
            key=self._meeting.key.to_text() if self._meeting else "",
        )

    def _send_signal(self, ranks: frozenset[int], signum: int) -> None:
        # A Python rank knows itself which of its children to tell; a shell script does not.
        group = self._config.kind is ScriptKind.PROGRAM
        if signum in (*STOP_SIGNALS, signal.SIGKILL):
            now_ns = time.monotonic_ns()
            self._told_to_stop_ns = {rank: now_ns for rank in ranks} | self._told_to_stop_ns
        self._pass_on(ranks, signum, group=group)

    def _pass_on(self, ranks: frozenset[int], signum: int, *, group: bool = False) -> None:
        message = {"op": "signal", "ranks": sorted(ranks), "signum": int(signum), "group": group}
        self._zygote.send(message)

    def _job_end(self, status: int) -> failures.JobEnd:
        state = self._state
        return failures.JobEnd(
            exits=state.exits,
            status=status,
            stop_signal=state.stop_signal,
            killed=state.killed,
            unfinished=state.alive,
            grace_s=self._config.grace_s,
            zygote_lost=self._zygote_lost,
            restarts_left=self._config.max_restarts - state.restarts,
            tails=self._tails,
            elsewhere=state.elsewhere,
        )

    # What the selector waits for

    def _watch(self, source: Any, handle: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, handle)

    def _watch_pipe(self, pipe: RankPipe) -> None:
        self._watch(pipe, lambda: self._on_pipe(pipe))

    def _unwatch_pipes(self, rank: int) -> None:
        for pipe in self._logs.pipes():
            if pipe.rank == rank and pipe in self._selector.get_map():
                self._selector.unregister(pipe)
        self._paused = [pipe for pipe in self._paused if pipe.rank != rank]

    def _close_notice(self, rank: int) -> None:
        fd = self._notices.pop(rank, None)
        if fd is not None:
            self._selector.unregister(fd)
            os.close(fd)

    def _watch_outlets(self) -> None:
        """Wait for slow readers of our output; stop reading the ranks while they are too slow."""
        for outlet in self._console.outlets:
            watched = outlet in self._selector.get_map()
            if outlet.pending and not watched:
                self._selector.register(outlet, selectors.EVENT_WRITE, outlet.pump)
            elif watched and not outlet.pending:
                self._selector.unregister(outlet)
        if self._console.full and not self._paused:
            watched_pipes = [p for p in self._logs.pipes() if p in self._selector.get_map()]
            self._paused = watched_pipes
            for pipe in watched_pipes:
                self._selector.unregister(pipe)
        elif self._paused and not self._console.full:
            for pipe in self._paused:
                self._watch_pipe(pipe)
            self._paused = []
        broken = self._console.broken
        if broken is not None and not self._state.stop_requested:
            self._console.note(f"{failures.NAME}: standard output: {broken.strerror}")
            self._happened(supervisor.OutputLost(time.monotonic()))

    def _close(self) -> None:
        """Leave nothing: store, ranks still alive, zygote, run directory, in that order."""
        if self._store is not None:
            self._store.close()
        self._observer.close()
        for rank in list(self._pids):
            self._unwatch_pipes(rank)
            self._close_notice(rank)
            self._logs.close_rank(rank, time.monotonic())
        self._selector.close()
        self._zygote.close()
        _reap(self._zygote_pid, ZYGOTE_EXIT_S)
        for pid in self._pids.values():  # adopted from a zygote that was killed
            _reap(pid, ZYGOTE_EXIT_S)
        if self._link is not None and self._meeting is not None:
            self._link.leave()
            self._meeting.close()
        self._files.close()
        self._run_directory.remove()
        self._console.flush(FLUSH_S)
        self._console.close()


def _reap(pid: int, timeout_s: float) -> None:
    """Wait for a child that is about to leave; SIGKILL it if it does not."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        pidfd = pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                os.kill(pid, signal.SIGKILL)
                poll.poll(timeout_s * 1000)
            os.waitpid(pid, os.WNOHANG)
        finally:
            os.close(pidfd)


def _is_usage_error(record: ErrorRecord) -> bool:
    """Whether a new attempt would only repeat it: imports, syntax, what argparse refuses."""
    refused = record.type_name == "SystemExit" and record.message == "2"
    return refused or record.type_name in USAGE_ERRORS
