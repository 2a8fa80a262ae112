"""What to do when something happens to a job: pure, no clock, no process, no socket.

`step(state, event)` returns the next state and the actions for `agent` to perform. A job runs
until a rank fails or a signal comes, then:

    RUNNING --failure--> SETTLING --settle_s--> STOPPING --grace_s--> KILLING --reap_s--> DONE
       ^                 others report          SIGTERM sent           SIGKILL sent
       '---- restart, once all ranks have ended ----'

A job without failure goes from RUNNING to DONE. In every phase, the end of the last rank decides.
With several hosts it leads to AWAITING, until what comes next is agreed with the others.
"""

import enum
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from disttorch_launcher.hosts import HostCause, Verdict
from disttorch_launcher.outcome import RankExit, exit_status, first_cause
from disttorch_launcher.signals import STOP_SIGNALS

ZYGOTE_LOST_STATUS = 70  # EX_SOFTWARE


class Phase(enum.Enum):
    """How far a job is on its way to its end."""

    RUNNING = "running"
    SETTLING = "settling"
    STOPPING = "stopping"
    KILLING = "killing"
    AWAITING = "awaiting the other hosts"
    DONE = "done"


@dataclass(frozen=True)
class Policy:
    """The settings of a job's supervision on this host; durations in seconds."""

    ranks: frozenset[int]
    several_hosts: bool = False
    max_restarts: int = 0
    grace_s: float = 30.0
    settle_s: float = 0.75  # with what follows, a job ends grace_s and a second after a rank
    reap_s: float = 5.0
    quiet_s: float = 2.0  # that hosts wait for each other before they say so


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
    announced: bool = False  # the first failure, in a line
    elsewhere: HostCause | None = None  # another host's failure: it came first, or is all there is
    host_lost: bool = False
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


@dataclass(frozen=True)
class HostFailed:
    """Another host has failed, or was told to stop, in the attempt number `restarts`."""

    cause: HostCause
    restarts: int
    now_s: float


@dataclass(frozen=True)
class HostLost:
    """Another host has gone without a word; nothing can be agreed with it any more."""

    cause: HostCause
    now_s: float


@dataclass(frozen=True)
class HostsAgreed:
    """The ranks of all hosts have ended in attempt `restarts`; `elsewhere` if the cause is."""

    verdict: Verdict
    restarts: int
    elsewhere: HostCause | None = None


Event = (
    RankExited | RankFailing | SignalReceived | Tick | ZygoteLost | OutputLost
    | HostFailed | HostLost | HostsAgreed
)  # fmt: skip


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
class AnnounceHost:
    """Say at once that another host has failed, or is no longer there."""

    cause: HostCause


@dataclass(frozen=True)
class AnnounceRestart:
    """Report a failed attempt that is followed by another."""

    exits: tuple[RankExit, ...]
    restarts: int
    elsewhere: HostCause | None = None


@dataclass(frozen=True)
class TellEnd:
    """Tell the other hosts how the ranks of this one have ended."""

    status: int


@dataclass(frozen=True)
class TellStop:
    """Tell the other hosts that this one, whose ranks have ended, was asked to leave."""

    signum: int


@dataclass(frozen=True)
class AnnounceWait:
    """Say that the ranks here have ended and that the other hosts decide what comes next."""


@dataclass(frozen=True)
class Finish:
    """The job is over: report it and leave with `status`."""

    status: int


Action = (
    StartRanks | SendSignal | Announce | AnnounceStop | AnnounceHost | AnnounceRestart | TellEnd
    | TellStop | AnnounceWait | Finish
)  # fmt: skip
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
        case HostFailed(cause, restarts, now_s) if restarts == state.restarts:
            result = _host_failed(state, cause, now_s)
        case HostLost(cause, now_s):
            result = _host_lost(state, cause, now_s)
        case HostsAgreed() if event.restarts == state.restarts and state.phase is Phase.AWAITING:
            result = _hosts_agreed(state, event)
    return result


def _rank_exited(state: State, rank_exit: RankExit, now_s: float) -> Step:
    state = replace(
        state,
        alive=state.alive - {rank_exit.rank},
        exits=(*state.exits, rank_exit),
        failing=tuple(e for e in state.failing if e.rank != rank_exit.rank),
    )
    actions: list[Action] = []
    if rank_exit.failed and state.phase in (Phase.RUNNING, Phase.SETTLING):
        state, actions = _first_failure(state, rank_exit, now_s)
    if state.alive:
        return state, actions
    state, final = _all_ended(state, now_s)
    return state, [*actions, *final]


def _rank_failing(state: State, rank_exit: RankExit, now_s: float) -> Step:
    state = replace(state, failing=(*state.failing, rank_exit))
    if state.phase not in (Phase.RUNNING, Phase.SETTLING):
        return state, []
    return _first_failure(state, rank_exit, now_s)


def _first_failure(state: State, rank_exit: RankExit, now_s: float) -> tuple[State, list[Action]]:
    """Settle, and announce the failure, unless what it follows from may be on its way here."""
    if state.phase is Phase.RUNNING:
        state = _settle(state, now_s)
    elif not state.policy.several_hosts:
        return state, []
    waits = state.policy.several_hosts and rank_exit.is_consequence
    # The last rank is about to end, and then the report says it all; to this host's user.
    others = state.alive - {rank_exit.rank} or state.policy.several_hosts
    if state.announced or waits or not others:
        return state, []
    return replace(state, announced=True), [Announce(rank_exit)]


def _settle(state: State, now_s: float) -> State:
    """Ranks that lose their peer say so within this time; whoever is left is then stopped."""
    return replace(state, phase=Phase.SETTLING, deadline_s=now_s + state.policy.settle_s)


def _stop_requested(state: State, reason: int, signum: int, now_s: float) -> Step:
    """End the job because of signal `reason`, by sending `signum` to the ranks."""
    state = replace(state, stop_requested=True)
    if state.phase is Phase.AWAITING:  # nothing runs here any more
        state, actions = _finish(state, exit_status(state.exits, reason) or 128 + reason)
        return state, [TellStop(reason), *actions]
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
        case Phase.AWAITING:
            return replace(state, deadline_s=math.inf), [AnnounceWait()]
    return state, []


def _stop_after_failure(state: State, now_s: float) -> Step:
    """SIGTERM to all but ranks that leave by themselves: their exit handlers may take a while."""
    leaving = {rank_exit.rank for rank_exit in state.failing}
    state, _ = _stop(state, signal.SIGTERM, now_s)
    told = [SendSignal(state.alive - leaving, signal.SIGTERM)] if state.alive - leaving else []
    failed = [rank_exit for rank_exit in (*state.failing, *state.exits) if rank_exit.failed]
    soon_over = not state.policy.several_hosts and (told or state.exits)
    if state.announced or soon_over or not failed:
        return state, told
    return replace(state, announced=True), [Announce(failed[0]), *told]


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


def _host_failed(state: State, cause: HostCause, now_s: float) -> Step:
    """Ranks here miss those of the other host and say so, as after a failure of their own."""
    if state.elsewhere is not None and not state.elsewhere.is_consequence:
        return state, []
    state = replace(state, elsewhere=cause)
    if state.announced or state.phase not in (Phase.RUNNING, Phase.SETTLING):
        return state, []
    if state.phase is Phase.RUNNING:
        state = _settle(state, now_s)
    return replace(state, announced=True), [AnnounceHost(cause)]


def _host_lost(state: State, cause: HostCause, now_s: float) -> Step:
    if state.host_lost:
        return state, []
    announce = AnnounceHost(cause)
    known = state.elsewhere
    first = cause if known is None or known.is_consequence else known
    state = replace(state, host_lost=True, elsewhere=first)
    if state.phase is Phase.AWAITING:
        state, actions = _finish_lost(state)
        return state, [announce, *actions]
    return _settle(state, now_s) if state.phase is Phase.RUNNING else state, [announce]


def _finish_lost(state: State) -> Step:
    """The end without the others' word: a failure of our own counts, else the lost host."""
    own = first_cause(state.exits)
    status = exit_status(state.exits, state.stop_signal)
    if state.elsewhere is None or (own is not None and not own.is_consequence):
        return _finish(replace(state, elsewhere=None), status)
    return _finish(state, state.elsewhere.status or status)


def _hosts_agreed(state: State, agreed: HostsAgreed) -> Step:
    if agreed.verdict.restart:
        return _restart(state, agreed.elsewhere)
    own = exit_status(state.exits, state.stop_signal)
    stopped = state.stop_signal is not None
    state = replace(state, elsewhere=None if stopped else agreed.elsewhere)
    return _finish(state, own if stopped else agreed.verdict.status)


def _all_ended(state: State, now_s: float) -> Step:
    status = exit_status(state.exits, state.stop_signal)
    if state.host_lost:
        return _finish_lost(state)
    if state.policy.several_hosts:
        state = replace(state, phase=Phase.AWAITING, deadline_s=now_s + state.policy.quiet_s)
        return state, [TellEnd(status)]
    cause = first_cause(state.exits)
    if cause is not None and _may_restart(state, cause):
        return _restart(state, None)
    return _finish(state, status)


def _restart(state: State, elsewhere: HostCause | None) -> Step:
    again = State(state.policy, alive=state.policy.ranks, restarts=state.restarts + 1)
    announce = AnnounceRestart(state.exits, again.restarts, elsewhere)
    return again, [announce, StartRanks(again.restarts)]


def _may_restart(state: State, cause: RankExit) -> bool:
    """A rank that failed before it joined (import, usage) would only fail again."""
    restarts_left = state.policy.max_restarts - state.restarts
    return cause.joined and restarts_left > 0 and not state.stop_requested


def _finish(state: State, status: int) -> Step:
    state = replace(state, phase=Phase.DONE, deadline_s=math.inf, status=status)
    return state, [Finish(status)]
