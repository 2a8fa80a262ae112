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


Event = RankExited | SignalReceived | Tick | ZygoteLost | OutputLost


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
    match event:
        case RankExited():
            return _rank_exited(state, event)
        case SignalReceived(signum, now_s) if signum in STOP_SIGNALS:
            return _stop_requested(state, signum, signum, now_s)
        case OutputLost(now_s):
            return _stop_requested(state, signal.SIGPIPE, signal.SIGTERM, now_s)
        case SignalReceived(signum):
            return state, [SendSignal(state.alive, signum)]
        case ZygoteLost():
            return replace(_done(state), status=ZYGOTE_LOST_STATUS), [Finish(ZYGOTE_LOST_STATUS)]
        case Tick(now_s) if now_s >= state.deadline_s:
            return _deadline_reached(state, now_s)
    return state, []


def _rank_exited(state: State, event: RankExited) -> Step:
    rank_exit = event.exit
    if rank_exit.rank not in state.alive:
        return state, []
    state = replace(state, alive=state.alive - {rank_exit.rank}, exits=(*state.exits, rank_exit))
    actions: list[Action] = []
    if rank_exit.failed and state.phase is Phase.RUNNING:
        # Ranks that lose their peer say so within this time; whoever is left is then stopped.
        state = replace(state, phase=Phase.SETTLING, deadline_s=event.now_s + state.policy.settle_s)
        if state.alive:
            actions.append(Announce(rank_exit))
    if state.alive:
        return state, actions
    state, final = _all_ended(state)
    return state, [*actions, *final]


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
            return _stop(state, signal.SIGTERM, now_s)
        case Phase.STOPPING:
            return _kill(state, now_s)
        case Phase.KILLING:  # not even SIGKILL ends a process that waits inside the kernel
            signum = state.stop_signal or signal.SIGKILL
            status = exit_status(state.exits, state.stop_signal) or 128 + signum
            return replace(_done(state), status=status), [Finish(status)]
    return state, []


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
    return replace(_done(state), status=status), [Finish(status)]


def _may_restart(state: State, cause: RankExit) -> bool:
    """A rank that failed before it joined (import, usage) would only fail again."""
    restarts_left = state.policy.max_restarts - state.restarts
    return cause.joined and restarts_left > 0 and not state.stop_requested


def _done(state: State) -> State:
    return replace(state, phase=Phase.DONE, deadline_s=math.inf)
