"""What to tell the user about a job that failed: text from records, first cause last on the screen.

Consequences (peers lost, ranks the launcher stopped) are folded to one line for all ranks that
share it; the first cause follows with that rank's own traceback.
"""

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from disttorch_launcher.hosts import HostCause
from disttorch_launcher.outcome import STOPPED_TYPES, ErrorRecord, RankExit, first_cause
from disttorch_launcher.rank_sets import ranges_text
from disttorch_launcher.signals import signal_name

NAME = "disttorch-launch"
MAX_HEADLINE_CHARS = 300
MAX_TAIL_LINES = 15
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
HINTS: dict[int, str] = {
    signal.SIGKILL: "No process of this job sent it. Often it is the kernel, short of memory "
    "(see `dmesg`): use smaller batches or fewer ranks.",
    signal.SIGTERM: "It came from outside the job: a batch system, a container, another user.",
    **dict.fromkeys(CRASHES, "Native code crashed. The stack of Python calls is printed above."),
}
LEAVER_HINT = "Every rank must make the same collective calls: see why this one ended earlier."


@dataclass(frozen=True)
class JobEnd:
    """All that a report needs: the exits of the last attempt and what the launcher did.

    `tails` is the last of each rank's stderr, `unfinished` the ranks that not even SIGKILL ended,
    `elsewhere` the cause if it is on another host.
    """

    exits: Sequence[RankExit]
    status: int
    stop_signal: int | None = None
    killed: frozenset[int] = frozenset()
    unfinished: frozenset[int] = frozenset()
    grace_s: float = 0.0
    restarts_left: int = 0
    zygote_lost: bool = False
    tails: Mapping[int, str] = field(default_factory=dict)
    elsewhere: HostCause | None = None


def announcement(rank_exit: RankExit) -> str:
    """One line, printed the moment a first rank fails."""
    return f"{NAME}: rank {rank_exit.rank} {how_it_ended(rank_exit)}; stopping the job"


def stop_note(signum: int, grace_s: float) -> str:
    """One line, printed when the job is asked to end while it runs."""
    again = " (Ctrl-C again: SIGTERM, then SIGKILL)" if signum == signal.SIGINT else ""
    return (
        f"{NAME}: {signal_name(signum)}: the ranks have {grace_s:g} s to end before SIGKILL{again}"
    )


def host_announcement(cause: HostCause) -> str:
    """One line, printed the moment another host has failed or is missed."""
    return f"{NAME}: host {cause.host}: {cause.how}; stopping the job here too"


def restart_note(
    exits: Sequence[RankExit], restarts: int, max_restarts: int, elsewhere: HostCause | None = None
) -> str:
    """The report of an attempt after which all ranks are started again."""
    body = _elsewhere_lines(elsewhere) or cause_lines(exits)
    head = f"{NAME}: restarting all ranks (restart {restarts} of {max_restarts}); this attempt:"
    return "\n".join([head, *body])


def cause_lines(exits: Sequence[RankExit], tails: Mapping[int, str] | None = None) -> list[str]:
    """The end of a report: what came first on this host; empty if nothing failed."""
    cause = first_cause(exits)
    return _first_cause_lines(cause, exits, tails or {}) if cause else []


def host_cause(host: int, end: JobEnd) -> HostCause | None:
    """What the other hosts are told when all ranks of `host` have ended; None if all is well."""
    if end.zygote_lost:
        return HostCause(host, "the process that starts the ranks was killed", end.status)
    if end.stop_signal is not None:
        return stop_cause(host, end.stop_signal, end.status)
    cause = first_cause(end.exits)
    if cause is None:
        return None
    return HostCause(
        host=host,
        how=f"rank {cause.rank} {how_it_ended(cause)}",
        status=end.status,
        text="\n".join(cause_lines(end.exits, end.tails)),
        is_consequence=cause.is_consequence,
        restartable=cause.joined,
    )


def stop_cause(host: int, signum: int, status: int) -> HostCause:
    """What the other hosts are told of a host that its user has stopped."""
    how = f"stopped by {signal_name(signum)}"
    return HostCause(host, how, status, f"{how}; exit status {status}")


def wait_note(running: Sequence[int]) -> str:
    """One line, printed when the ranks here have ended and other hosts take their time."""
    whose = f"those of host {', '.join(map(str, running))}" if running else "the other hosts' word"
    return f"{NAME}: the ranks of this host have ended; waiting for {whose}"


def report(end: JobEnd) -> str:
    """The last lines of a job that did not succeed; empty for one that did."""
    cause = None if end.elsewhere else first_cause(end.exits)
    if end.status == 0:
        return ""
    if end.zygote_lost:
        return (
            f"{NAME}: the process that starts the ranks was killed, and the ranks with it; exit "
            f"status {end.status}\n{HINTS[signal.SIGKILL]}"
        )
    if end.stop_signal is not None:
        head = f"{NAME}: stopped by {signal_name(end.stop_signal)}; exit status {end.status}"
        return "\n".join([head, *_folded(end, None)])
    head = f"{NAME}: the job failed; exit status {end.status}"
    lines = [head, *_folded(end, cause)]
    if end.restarts_left > 0 and cause is not None and not cause.joined:
        lines.append(
            f"  not restarted: rank {cause.rank} failed before it joined the process group, "
            f"and would fail again"
        )
    lines += _elsewhere_lines(end.elsewhere) or cause_lines(end.exits, end.tails)
    return "\n".join(lines)


def _elsewhere_lines(cause: HostCause | None) -> list[str]:
    if cause is None:
        return []
    return [f"from host {cause.host}:", *(cause.text or cause.how).splitlines()]


def how_it_ended(rank_exit: RankExit) -> str:
    """`was killed by SIGKILL`, `raised ValueError: boom (train.py:3)`, ..., on one line."""
    if rank_exit.code < 0 and not rank_exit.raised:
        return f"was killed by {signal_name(-rank_exit.code)}"
    record = rank_exit.record
    if record is None:
        return f"ended with exit status {rank_exit.code}"
    where = f" ({record.location})" if record.location else ""
    if record.type_name == "SystemExit":
        return f"called sys.exit({_clipped(record.message)}){where}"
    return f"raised {_clipped(record.headline)}{where}"


def rank_ranges(ranks: Iterable[int]) -> str:
    """`rank 3`, or `ranks 0-3,5`."""
    text = ranges_text(ranks)
    return f"rank {text}" if text.isdigit() else f"ranks {text}"


def _folded(end: JobEnd, cause: RankExit | None) -> list[str]:
    """One line for all ranks with the same story, in order of the ranks."""
    ranks_of: dict[str, list[int]] = {}
    for rank_exit in sorted(end.exits, key=lambda e: e.rank):
        if rank_exit is not cause:
            ranks_of.setdefault(_story(rank_exit, cause), []).append(rank_exit.rank)
    lines = [f"  {rank_ranges(ranks)} {story}" for story, ranks in ranks_of.items()]
    if end.killed:
        lines.append(
            f"  {rank_ranges(end.killed)} did not end within {end.grace_s:g} s and needed SIGKILL"
        )
    if end.unfinished:
        lines.append(
            f"  {rank_ranges(end.unfinished)} did not end even then: waiting inside the kernel, "
            f"as for a device or a network file system"
        )
    return lines


def _story(rank_exit: RankExit, cause: RankExit | None) -> str:
    record = rank_exit.record
    if record and cause and cause.record and _alike(record, cause.record):
        return "failed with the same error"
    by_signal = rank_exit.code < 0 or (record and record.type_name in STOPPED_TYPES)
    if rank_exit.stopped and by_signal:
        return "stopped by the launcher"
    return how_it_ended(rank_exit)


def _alike(one: ErrorRecord, other: ErrorRecord) -> bool:
    """The same words; or the same kind at the same line, in words that name another rank."""
    at_one_line = one.location != "" and one.location == other.location
    return one.headline == other.headline or (at_one_line and one.type_name == other.type_name)


def _first_cause_lines(
    cause: RankExit, exits: Sequence[RankExit], tails: Mapping[int, str]
) -> list[str]:
    head = f"first cause: rank {cause.rank} {how_it_ended(cause)}"
    if not cause.failed:
        waiting = rank_ranges(e.rank for e in exits if e.failed)
        return [f"{head} while {waiting} still needed it", LEAVER_HINT]
    if cause.code < 0 and not cause.raised:
        return [*_tail_lines(cause, tails), head, *_hints(-cause.code)]
    if cause.record is None:
        return [*_tail_lines(cause, tails), head]
    if cause.record.type_name == "SystemExit":
        return [head]
    # The traceback ends with the message, so the head need not repeat it.
    where = f" ({cause.record.location})" if cause.record.location else ""
    return [
        f"first cause: rank {cause.rank} raised {cause.record.type_name}{where}",
        cause.record.traceback.rstrip("\n"),
    ]


def _tail_lines(cause: RankExit, tails: Mapping[int, str]) -> list[str]:
    lines = tails.get(cause.rank, "").splitlines()[-MAX_TAIL_LINES:]
    if not lines:
        return []
    return [f"last lines of rank {cause.rank}'s stderr:", *(f"  {line}" for line in lines)]


def _hints(signum: int) -> list[str]:
    return [HINTS[signum]] if signum in HINTS else []


def _clipped(text: str) -> str:
    first = text.strip().split("\n", 1)[0]
    return first if len(first) <= MAX_HEADLINE_CHARS else first[:MAX_HEADLINE_CHARS] + "..."
