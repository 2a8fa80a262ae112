"""What the hosts of a job tell each other of an attempt's end, and what they then all decide: pure.

Hosts share no clock. Which cause was first is the order in which the causes came to the store; a
failure that follows another rank's, or the launcher's stopping, is blamed only where there is no
other. All hosts decide from the same ends, so they decide the same.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

HOST_LOST_STATUS = 70  # EX_SOFTWARE, as for a zygote that was killed


@dataclass(frozen=True)
class HostCause:
    """Why an attempt failed, as its host knows it.

    `how` is half a line (`rank 2 raised ValueError: boom`), `text` the end of that host's report,
    `order` the number that the store gave the cause, 0 before it has.
    """

    host: int
    how: str
    status: int
    text: str = ""
    is_consequence: bool = False
    restartable: bool = False
    order: int = 0


@dataclass(frozen=True)
class HostEnd:
    """How all ranks of one host have ended in one attempt; no cause if none of them failed.

    `stop_requested` says that its user asked for the end, perhaps after something had failed.
    """

    host: int
    status: int
    cause: HostCause | None = None
    stop_requested: bool = False


@dataclass(frozen=True)
class Verdict:
    """What all hosts do next: another attempt, or the end with `status`."""

    restart: bool
    status: int
    cause: HostCause | None = None


def agree(ends: Iterable[HostEnd], told: Iterable[HostCause], *, restarts_left: int) -> Verdict:
    """The verdict on an attempt; `told` are the causes that came to the store while it ran.

    A cause is told early and in few words, and again, in full, with the end of its host.
    """
    ends = sorted(ends, key=lambda end: end.host)
    early = {cause.host: cause for cause in told}
    causes = [_numbered(end.cause, early.pop(end.host, None)) for end in ends if end.cause]
    causes += early.values()
    cause = min(causes, key=_blame, default=None)
    any_status = next((end.status for end in ends if end.status), 0)
    if cause is None:
        return Verdict(False, any_status)
    stopped = any(end.stop_requested for end in ends)
    restart = cause.restartable and restarts_left > 0 and not stopped
    return Verdict(restart, cause.status or any_status, cause)


def _numbered(final: HostCause, early: HostCause | None) -> HostCause:
    return replace(final, order=early.order) if early and not final.is_consequence else final


def _blame(cause: HostCause) -> tuple[bool, float, int]:
    return cause.is_consequence, cause.order or float("inf"), cause.host


def lost(host: int, why: str) -> HostCause:
    """The cause that another host has gone without a word; nobody is left to restart with."""
    text = f"first cause: host {host} {why}"
    return HostCause(host, why, HOST_LOST_STATUS, text)


def pack(news: HostCause | HostEnd) -> dict[str, Any]:
    """As plain values, for JSON."""
    return asdict(news)


def unpack_cause(values: dict[str, Any]) -> HostCause:
    """The cause that `pack` was given; TypeError for anything else."""
    return HostCause(**values)


def unpack_end(values: dict[str, Any]) -> HostEnd:
    """The end that `pack` was given; TypeError for anything else."""
    cause = values["cause"]
    return HostEnd(**{**values, "cause": unpack_cause(cause) if cause else None})
