"""Who keeps the others waiting: from the ranks' status pages to the lines of a report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from disttorch.comm.status import Record, Stall, find_stall
from disttorch_launcher.failures import NAME, rank_ranges
from disttorch_launcher.stacks import stack_lines

MAX_STACKS = 8


@dataclass(frozen=True)
class Suspicion:
    """A wait that has lasted too long: who waits, where, and whose stacks would tell why.

    `missing` maps each rank that has not come to what is known of it, `host_of` the ranks of other
    hosts to these.
    """

    waiting: tuple[int, ...]
    where: str
    waited_s: float
    missing: Mapping[int, str]
    blamed: tuple[int, ...]
    key: tuple[object, ...]
    host_of: Mapping[int, int] = field(default_factory=dict)

    def lines(self, answers: Mapping[int, str], pids: Mapping[int, int]) -> list[str]:
        """The report, with the stacks that have come."""
        wait = "waits" if len(self.waiting) == 1 else "wait"
        lines = [
            f"{NAME}: stalled: {rank_ranges(self.waiting)} {wait} in {self.where} since "
            f"{self.waited_s:.1f} s"
        ]
        for rank, what in self.missing.items():
            host = self.host_of.get(rank)
            where = f"pid {pids.get(rank, 0)}" if host is None else f"host {host}"
            lines.append(f"  rank {rank} ({where}) has not arrived: {what}")
            if rank in self.blamed and host is None:
                lines += stack_lines(answers.get(rank), pids.get(rank, 0))
        return lines

    def stacks(self, answers: Mapping[int, str], pids: Mapping[int, int], host: int) -> list[str]:
        """The stacks of this host's ranks, as the launchers of other hosts show them."""
        lines = []
        for rank in (rank for rank in self.blamed if rank in pids):
            lines.append(f"{NAME}: rank {rank} (pid {pids[rank]} on host {host}):")
            lines += stack_lines(answers.get(rank), pids[rank])
        return lines


def suspect(job: Mapping[int, Sequence[Record]], now_s: float, after_s: float) -> Suspicion | None:
    """The wait of `job` (its ranks' records, oldest first) that is older than `after_s`, if any."""
    stall = find_stall(job, now_s)
    if stall is None or stall.waited_s < after_s:
        return _lonely_message(job, now_s, after_s)
    missing = {rank: _what(stall.last[rank], now_s) for rank in stall.missing}
    return Suspicion(
        waiting=stall.waiting,
        where=stall.record.describe(),
        waited_s=stall.waited_s,
        missing=missing,
        blamed=_blamed(stall),
        key=(stall.record.group, stall.record.sequence, stall.missing),
    )


def suspect_joining(
    joined: frozenset[int], alive: frozenset[int], waited_s: float, after_s: float
) -> Suspicion | None:
    """Ranks that wait in init_process_group for others that have not called it."""
    late = tuple(sorted(alive - joined))
    if not joined or not late or waited_s < after_s:
        return None
    return Suspicion(
        waiting=tuple(sorted(joined)),
        where="init_process_group",
        waited_s=waited_s,
        missing=dict.fromkeys(late, "it has not called init_process_group"),
        blamed=late[:MAX_STACKS],
        key=("joining", late),
    )


def check_every_s(after_s: float) -> float:
    """How often to look, so that a wait is told of soon after `after_s`; infinite for 0."""
    return max(0.1, min(2.0, after_s / 4)) if after_s > 0 else math.inf


def _blamed(stall: Stall) -> tuple[int, ...]:
    """Of the missing ranks, those that do not themselves wait for others, if there are any."""
    free = [r for r in stall.missing if not (last := stall.last[r]) or not last.under_way]
    return tuple(free or stall.missing)[:MAX_STACKS]


def _what(last: Record | None, now_s: float) -> str:
    if last is None:
        return "it has made no collective call yet"
    if last.under_way:
        return f"it waits itself, since {now_s - last.begun_s:.1f} s, in {last.describe()}"
    return f"its last call, {now_s - last.ended_s:.1f} s ago, was {last.describe()}"


def _lonely_message(
    job: Mapping[int, Sequence[Record]], now_s: float, after_s: float
) -> Suspicion | None:
    """A send or recv that waits: its peer is named in its words."""
    latest = {rank: records[-1] for rank, records in job.items() if records}
    old = [r for r in latest.values() if r.under_way and now_s - r.begun_s >= after_s]
    messages = [r for r in old if r.operation.startswith(("send to", "recv from"))]
    if not messages:
        return None
    first = min(messages, key=lambda r: r.begun_s)
    name = first.operation.rpartition(" ")[2]
    others = [int(name)] if name.isdigit() else [rank for rank in job if rank != first.rank]
    return Suspicion(
        waiting=(first.rank,),
        where=first.describe(),
        waited_s=now_s - first.begun_s,
        missing={rank: _what(latest.get(rank), now_s) for rank in others},
        blamed=tuple(others)[:MAX_STACKS],
        key=(first.rank, first.operation, first.begun_s),
    )
