"""How ranks ended, and which ending came first: pure functions over records.

A *cause* is a failure of its own; a *consequence* follows another rank's: its peer was lost, or the
launcher stopped it. Times are monotonic nanoseconds of one host, so their order is real.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STOPPED_TYPES = ("KeyboardInterrupt",)
INTERRUPTED = 130  # what a shell reports after Ctrl-C


@dataclass(frozen=True)
class ErrorRecord:
    """What a rank's bootstrap wrote about the exception that ended its script.

    `location` is "file.py:12", the innermost line outside disttorch; `ranks` are the peers that
    a PeerLostError named; `code` is the status asked for by sys.exit.
    """

    at_ns: int
    type_name: str
    message: str
    traceback: str = ""
    location: str = ""
    consequence: bool = False
    ranks: tuple[int, ...] = ()

    @property
    def headline(self) -> str:
        """`ValueError: boom`, first line only."""
        first = self.message.strip().split("\n", 1)[0]
        return f"{self.type_name}: {first}" if first else self.type_name


@dataclass(frozen=True)
class RankExit:
    """One rank's end: `code` as in subprocess (negative: killed by that signal).

    `stopped` says that the launcher had told this rank to stop before it ended; `joined` that it
    had joined the process group.
    """

    rank: int
    code: int
    at_ns: int
    joined: bool = True
    stopped: bool = False
    record: ErrorRecord | None = None

    @property
    def failed(self) -> bool:
        """True unless the rank left with status 0."""
        return self.code != 0

    @property
    def failed_at_ns(self) -> int:
        """When it went wrong: at the exception if there was one, else at the process's end."""
        return self.record.at_ns if self.record else self.at_ns

    @property
    def is_consequence(self) -> bool:
        """True if another rank's failure, or the launcher, ended this one."""
        return self.failed and (
            self.stopped or (self.record is not None and self.record.consequence)
        )

    @property
    def status(self) -> int:
        """The exit status a shell would show: 128 + signal for a killed process."""
        if self.code >= 0:
            return self.code
        # After an exception of its own, a process that must be killed has failed by that.
        return 1 if self.raised else 128 - self.code

    @property
    def raised(self) -> bool:
        """True if an exception of the script's own ended it, other than by being told to stop."""
        return self.record is not None and self.record.type_name not in STOPPED_TYPES


def first_cause(exits: Sequence[RankExit]) -> RankExit | None:
    """The exit to blame, None if nothing failed.

    The earliest failure that is no consequence. If all are (peers lost), the rank they lost: one
    that left with status 0 while others still needed it.
    """
    failures = sorted((e for e in exits if e.failed), key=lambda e: e.failed_at_ns)
    causes = [e for e in failures if not e.is_consequence]
    if causes:
        return causes[0]
    missed = {rank for e in failures if e.record for rank in e.record.ranks}
    leavers = [e for e in exits if not e.failed and e.rank in missed]
    if leavers:
        return min(leavers, key=lambda e: e.at_ns)
    return failures[0] if failures else None


def exit_status(exits: Sequence[RankExit], stop_signal: int | None = None) -> int:
    """The launcher's exit status, 0 to 255: that of the rank to blame.

    For a job stopped by `stop_signal`: 0 if every rank left with 0, a status that a rank chose
    itself while stopping, else 128 + signal.
    """
    cause = first_cause(exits)
    if cause is None:
        return 0
    if stop_signal is None:
        return cause.status or min(_failures(exits), key=lambda e: e.failed_at_ns).status
    for rank_exit in sorted(_failures(exits), key=lambda e: e.at_ns):
        if _chose_its_status(rank_exit):
            return rank_exit.status
    return 128 + stop_signal


def _failures(exits: Iterable[RankExit]) -> list[RankExit]:
    return [e for e in exits if e.failed]


def _chose_its_status(rank_exit: RankExit) -> bool:
    record = rank_exit.record
    if rank_exit.code <= 0 or rank_exit.code == INTERRUPTED:
        return False
    return record is None or not (record.consequence or record.type_name in STOPPED_TYPES)
