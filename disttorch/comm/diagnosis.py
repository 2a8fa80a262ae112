"""Words for a wait that cannot end well: who is missing, what they last did, what to do next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm.transport.arena import Condition


@dataclass(frozen=True)
class PeerReport:
    """What is known of one rank that has not arrived; `rank` is its global number."""

    rank: int
    pid: int
    ended: bool
    condition: Condition
    text: str
    latest: str

    @property
    def lost(self) -> bool:
        """Whether this rank will never arrive."""
        return self.ended or self.condition is not Condition.ACTIVE


_FATE = {
    Condition.ACTIVE: "died (killed or crashed)",
    Condition.CLOSED: "closed the process group without joining",
    Condition.EXITED: "exited without joining (its script returned or called sys.exit)",
    Condition.RAISED: "raised {text}",
    Condition.GAVE_UP: "gave up: {text}",
}
_ADVICE = {
    Condition.ACTIVE: "See the launcher's report or the kernel log (out of memory?) for the cause.",
    Condition.CLOSED: "All ranks must make the same collective calls before they leave.",
    Condition.EXITED: (
        "All ranks must make the same collective calls: look for an early return or loops of "
        "different length."
    ),
    Condition.RAISED: "Mend that error first; this one only follows from it.",
    Condition.GAVE_UP: "See that rank's error first; this one only follows from it.",
}


def lost_text(rank: int, doing: str, reports: Sequence[PeerReport]) -> str:
    """The message of a PeerLostError on `rank`, which was `doing` something."""
    lost = [report for report in reports if report.lost]
    fates = "; ".join(_fate(report) for report in lost)
    return f"rank {rank}: {fates}. Rank {rank} waited in {doing}. {_ADVICE[lost[0].condition]}"


def late_text(rank: int, doing: str, timeout_s: float, reports: Sequence[PeerReport]) -> str:
    """The message of a CollectiveTimeoutError on `rank`, which was `doing` something."""
    return (
        f"rank {rank}: {doing} timed out after {timeout_s:g} s: {_late(reports)}. Look at what "
        f"that rank is doing (`{_stack_command(reports)}`), or raise the time-out of the group or "
        f"DISTTORCH_TIMEOUT_S."
    )


def waiting_text(
    rank: int, doing: str, waited_s: float, timeout_s: float, reports: Sequence[PeerReport]
) -> str:
    """The warning of a `rank` that has been `doing` something for long, and goes on."""
    return (
        f"rank {rank} has waited {waited_s:g} s in {doing}: {_late(reports)}. It gives up after "
        f"{timeout_s:g} s; `{_stack_command(reports)}` shows where that rank is."
    )


def _late(reports: Sequence[PeerReport]) -> str:
    return "; ".join(f"{_who(report)} has not arrived, {_last(report)}" for report in reports)


def _stack_command(reports: Sequence[PeerReport]) -> str:
    """What prints Python stacks: the launcher's tool where there is a launcher."""
    run_dir = os.environ.get("DISTTORCH_RUN_DIR", "")
    if run_dir:
        return f"disttorch stack {run_dir}"
    return f"py-spy dump --pid {(reports[0].pid if reports else 0) or 'PID'}"


def _fate(report: PeerReport) -> str:
    fate = _FATE[report.condition].format(text=report.text)
    return f"{_who(report)} {fate}, {_last(report)}"


def _who(report: PeerReport) -> str:
    """A rank with its process number, where that is known: on this host."""
    return f"rank {report.rank} (pid {report.pid})" if report.pid else f"rank {report.rank}"


def _last(report: PeerReport) -> str:
    if not report.latest:
        return "having called no collective in this group"
    return f"its last collective being {report.latest}"
