"""What to do when something happens to a job: pure, no clock, no process, no socket.

`step(state, event)` returns the next state and the actions for `agent` to perform. A job runs
until a rank fails or a signal comes, then:

    RUNNING --failure--> SETTLING --settle_s--> STOPPING --grace_s--> KILLING --reap_s--> DONE
       ^                 others report          SIGTERM sent           SIGKILL sent
       '---- restart, once all ranks have ended ----'

A job without failure goes from RUNNING to DONE. In every phase, the end of the last rank decides.
"""

import enum
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from disttorch_launcher.outcome import RankExit, exit_status, first_cause
from disttorch_launcher.signals import STOP_SIGNALS

ZYGOTE_LOST_STATUS = 70  # EX_SOFTWARE


class Phase(enum.Enum):
    """How far a job is on its way to its end."""

    RUNNING = "running"
    SETTLING = "settling"
    STOPPING = "stopping"
    KILLING = "killing"
    DONE = "done"


@dataclass(frozen=True)
class Policy:
    """The settings of a job's supervision; durations in seconds."""

    ranks: frozenset[int]
    max_restarts: int = 0
    grace_s: float = 30.0
    settle_s: float = 1.0
    reap_s: float = 5.0


@dataclass(frozen=True)
class State:
    """One job at one moment. `deadline_s` is when the next Tick is due, infinite for never."""

    policy: Policy
    phase: Phase = Phase.RUNNING
    alive: frozenset[int] = frozenset()
    exits: tuple[RankExit, ...] = ()
    failing: tuple[RankExit, ...] = ()  # scripts that have failed, processes that still run
    restarts: int = 0
    deadline_s: float = math.inf
    stop_requested: bool = False  # by the user, at whatever moment: then nothing is restarted
    stop_signal: int | None = None  # the user's; None if a failure came first
    sent: int | None = None  # the strongest signal the launcher has sent to end the ranks
    killed: frozenset[int] = frozenset()  # ranks that needed SIGKILL
    status: int | None = None


@dataclass(frozen=True)
class RankExited:
    """A rank's process has ended and its output has been read."""

    exit: RankExit
    now_s: float


@dataclass(frozen=True)
class RankFailing:
    """A rank's script has failed and its process is on its way out, perhaps slowly.

    `exit` is what will be known of it then, as far as it is known now.
    """

    exit: RankExit
    now_s: float


@dataclass(frozen=True)
class SignalReceived:
    """The launcher was sent a signal."""

    signum: int
    now_s: float


@dataclass(frozen=True)
class Tick:
    """Time has passed; sent when `deadline_s` is reached, harmless at any moment."""

    now_s: float


@dataclass(frozen=True)
class ZygoteLost:
    """The process that owns the ranks is gone, and the ranks with it."""

    now_s: float


@dataclass(frozen=True)
class OutputLost:
    """Nobody reads the launcher's output any more; the job ends as one killed by SIGPIPE."""

    now_s: float


Event = RankExited | RankFailing | SignalReceived | Tick | ZygoteLost | OutputLost


@dataclass(frozen=True)
class StartRanks:
    """Start every rank, as attempt number `restarts`."""

    restarts: int


@dataclass(frozen=True)
class SendSignal:
    """Send a signal to ranks; SIGKILL goes to their whole process groups."""

    ranks: frozenset[int]
    signum: int


@dataclass(frozen=True)
class Announce:
    """Say at once, in one line, that a rank has failed; its report comes at the end."""

    exit: RankExit


@dataclass(frozen=True)
class AnnounceStop:
    """Say that the job was asked to end by a signal, and how long the ranks have for it."""

    signum: int


@dataclass(frozen=True)
class AnnounceRestart:
    """Report a failed attempt that is followed by another."""

    exits: tuple[RankExit, ...]
    restarts: int


@dataclass(frozen=True)
class Finish:
    """The job is over: report it and leave with `status`."""

    status: int


Action = StartRanks | SendSignal | Announce | AnnounceStop | AnnounceRestart | Finish
Step = tuple[State, Sequence[Action]]


def begin(policy: Policy) -> Step:
    """The state and actions that start a job."""
    return State(policy, alive=policy.ranks), [StartRanks(0)]


def step(state: State, event: Event) -> Step:
    """The next state and what to do now."""
    if state.phase is Phase.DONE:
        return state, []
    result: Step = state, []
    match event:
        case RankExited(rank_exit, now_s) if rank_exit.rank in state.alive:
            result = _rank_exited(state, rank_exit, now_s)
        case RankFailing(rank_exit, now_s) if rank_exit.rank in state.alive:
            result = _rank_failing(state, rank_exit, now_s)
        case SignalReceived(signum, now_s) if signum in STOP_SIGNALS:
            result = _stop_requested(state, signum, signum, now_s)
        case SignalReceived(signum):
            result = state, [SendSignal(state.alive, signum)]
        case OutputLost(now_s):
            result = _stop_requested(state, signal.SIGPIPE, signal.SIGTERM, now_s)
        case ZygoteLost():
            result = _finish(state, ZYGOTE_LOST_STATUS)
        case Tick(now_s) if now_s >= state.deadline_s:
            result = _deadline_reached(state, now_s)
    return result


def _rank_exited(state: State, rank_exit: RankExit, now_s: float) -> Step:
    state = replace(
        state,
        alive=state.alive - {rank_exit.rank},
        exits=(*state.exits, rank_exit),
        failing=tuple(e for e in state.failing if e.rank != rank_exit.rank),
    )
    actions: list[Action] = []
    if rank_exit.failed and state.phase is Phase.RUNNING:
        state = _settle(state, now_s)
        if state.alive:
            actions.append(Announce(rank_exit))
    if state.alive:
        return state, actions
    state, final = _all_ended(state)
    return state, [*actions, *final]


def _rank_failing(state: State, rank_exit: RankExit, now_s: float) -> Step:
    running = state.phase is Phase.RUNNING
    state = replace(state, failing=(*state.failing, rank_exit))
    if not running:
        return state, []
    # A single rank is about to end, and then the report says it all.
    announce = [Announce(rank_exit)] if len(state.alive) > 1 else []
    return _settle(state, now_s), announce


def _settle(state: State, now_s: float) -> State:
    """Ranks that lose their peer say so within this time; whoever is left is then stopped."""
    return replace(state, phase=Phase.SETTLING, deadline_s=now_s + state.policy.settle_s)


def _stop_requested(state: State, reason: int, signum: int, now_s: float) -> Step:
    """End the job because of signal `reason`, by sending `signum` to the ranks."""
    state = replace(state, stop_requested=True)
    if state.phase is Phase.RUNNING:
        state = replace(state, stop_signal=reason)
    if state.phase in (Phase.RUNNING, Phase.SETTLING):
        state, actions = _stop(state, signum, now_s)
        return state, [AnnounceStop(reason), *actions]
    if signum != signal.SIGINT or state.phase is Phase.KILLING:
        return state, [SendSignal(state.alive, signum)]
    # Ctrl-C again: somebody is waiting at the terminal.
    if state.sent == signal.SIGINT:
        return replace(state, sent=int(signal.SIGTERM)), [SendSignal(state.alive, signal.SIGTERM)]
    return _kill(state, now_s)


def _deadline_reached(state: State, now_s: float) -> Step:
    match state.phase:
        case Phase.SETTLING:
            return _stop_after_failure(state, now_s)
        case Phase.STOPPING:
            return _kill(state, now_s)
        case Phase.KILLING:  # not even SIGKILL ends a process that waits inside the kernel
            signum = state.stop_signal or signal.SIGKILL
            status = exit_status(state.exits, state.stop_signal) or 128 + signum
            return _finish(state, status)
    return state, []


def _stop_after_failure(state: State, now_s: float) -> Step:
    """SIGTERM to all but ranks that leave by themselves: their exit handlers may take a while."""
    leaving = {rank_exit.rank for rank_exit in state.failing}
    state, _ = _stop(state, signal.SIGTERM, now_s)
    if state.alive - leaving:
        return state, [SendSignal(state.alive - leaving, signal.SIGTERM)]
    return state, [] if state.exits else [Announce(state.failing[0])]


def _stop(state: State, signum: int, now_s: float) -> Step:
    deadline_s = now_s + state.policy.grace_s
    state = replace(state, phase=Phase.STOPPING, sent=int(signum), deadline_s=deadline_s)
    return state, [SendSignal(state.alive, signum)]


def _kill(state: State, now_s: float) -> Step:
    state = replace(
        state,
        phase=Phase.KILLING,
        sent=int(signal.SIGKILL),
        killed=state.killed | state.alive,
        deadline_s=now_s + state.policy.reap_s,
    )
    return state, [SendSignal(state.alive, signal.SIGKILL)]


def _all_ended(state: State) -> Step:
    cause = first_cause(state.exits)
    if cause is not None and _may_restart(state, cause):
        again = State(state.policy, alive=state.policy.ranks, restarts=state.restarts + 1)
        announce = AnnounceRestart(state.exits, again.restarts)
        return again, [announce, StartRanks(again.restarts)]
    status = exit_status(state.exits, state.stop_signal)
    return _finish(state, status)


def _may_restart(state: State, cause: RankExit) -> bool:
    """A rank that failed before it joined (import, usage) would only fail again."""
    restarts_left = state.policy.max_restarts - state.restarts
    return cause.joined and restarts_left > 0 and not state.stop_requested


def _finish(state: State, status: int) -> Step:
    state = replace(state, phase=Phase.DONE, deadline_s=math.inf, status=status)
    return state, [Finish(status)]
