"""`disttorch top`: a table of a running job's ranks, drawn again every second.

Rates come from two snapshots; the time split, from the collectives in the ranks' status pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TITLES = (
    *("rank", "pid", "steps/s", "samples/s", "compute", "comm", "data", "late ms"),
    *("cpu", "rss", "threads", "doing"),
)
# What a narrow terminal does without, in this order.
_DISPENSABLE = (
    *("threads", "pid", "rss", "cpu", "compute", "samples/s", "data", "comm", "late ms"),
)
_DOING_CHARS = 20  # of what a rank does; the rest goes to the next line
WINDOW_S = 10.0


@dataclass(frozen=True)
class Row:
    """One rank between two snapshots; parts of the time add up to 1, `late_s` is how much later
    than the first rank it comes to collectives, on average.
    """

    rank: int
    pid: int
    steps_per_s: float
    samples_per_s: float
    compute: float
    comm: float
    data: float
    late_s: float
    cpu: float
    rss: int
    threads: int
    doing: str

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            str(self.rank), str(self.pid), f"{self.steps_per_s:.1f}", f"{self.samples_per_s:.0f}",
            f"{self.compute:.0%}", f"{self.comm:.0%}", f"{self.data:.0%}",
            f"{self.late_s * 1e3:.1f}", f"{self.cpu:.0%}", f"{self.rss / 1e6:.0f} MB",
            str(self.threads), self.doing,
        )  # fmt: skip


def rows(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Row]:
    """A row for each process that is in both snapshots; a restarted rank counts from 0 again."""
    earlier = {rank["rank"]: rank for rank in before["ranks"]}
    dt_s = max(1e-3, now["now_s"] - before["now_s"])
    late = lateness(now)
    return [
        _row(earlier[rank["rank"]], rank, dt_s, now["now_s"], late.get(rank["rank"], 0.0))
        for rank in now["ranks"]
        if earlier.get(rank["rank"], {}).get("pid") == rank["pid"]
    ]


def straggler(table: Sequence[Row]) -> int | None:
    """The rank that the others wait for: the latest, if that is by more than 1 ms and a half."""
    if len(table) < 2:
        return None
    latest, second = sorted(table, key=lambda row: -row.late_s)[:2]
    found = latest.late_s > 1e-3 and latest.late_s > 1.5 * second.late_s
    return latest.rank if found else None


def lateness(now: Mapping[str, Any]) -> dict[int, float]:
    """Seconds after the first rank at which each comes to a collective, averaged over the latest.

    Calls are matched from the newest backwards, so all ranks must have made the same ones.
    """
    begun = {rank["rank"]: [call[0] for call in rank["calls"]][-64:] for rank in now["ranks"]}
    n = min(map(len, begun.values()), default=0)
    if len(begun) < 2 or n < 2:
        return {}
    total = dict.fromkeys(begun, 0.0)
    for i in range(1, n + 1):
        first = min(times[-i] for times in begun.values())
        for rank, times in begun.items():
            total[rank] += times[-i] - first
    return {rank: seconds / n for rank, seconds in total.items()}


def columns(table: Sequence[Row], n_chars: int, n_beside: int) -> list[int]:
    """Which columns `n_chars` have room for, each with `n_beside` characters beside it."""
    cells = [TITLES, *(row.cells() for row in table)]
    widths = {title: max(len(line[i]) for line in cells) for i, title in enumerate(TITLES)}
    widths["doing"] = min(widths["doing"], _DOING_CHARS)
    left = list(TITLES)
    for title in _DISPENSABLE:
        if sum(widths[kept] + n_beside for kept in left) <= n_chars:
            break
        left.remove(title)
    return [TITLES.index(title) for title in left]


def text(table: Sequence[Row], n_chars: int = 1 << 20) -> str:
    """The table as plain text for lines of `n_chars`, with the straggler named below."""
    kept = columns(table, n_chars, 2)
    cells = [[line[i] for i in kept] for line in (TITLES, *(row.cells() for row in table))]
    widths = [max(len(line[i]) for line in cells) for i in range(len(kept))]
    last = len(kept) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if i == last else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    late = straggler(table)
    return "\n".join([*lines, *([f"rank {late} keeps the others waiting"] if late is not None
                                else [])])  # fmt: skip


def _row(
    before: Mapping[str, Any], rank: Mapping[str, Any], dt_s: float, now_s: float, late_s: float
) -> Row:
    window_s = max(1e-3, min(WINDOW_S, dt_s))
    comm = _time_inside(rank, now_s - window_s, now_s) / window_s
    data = min(1.0, (rank["data_ns"] - before["data_ns"]) / 1e9 / dt_s)
    comm = min(comm, 1.0 - data)
    return Row(
        rank=rank["rank"],
        pid=rank["pid"],
        steps_per_s=(rank["steps"] - before["steps"]) / dt_s,
        samples_per_s=(rank["samples"] - before["samples"]) / dt_s,
        compute=1.0 - comm - data,
        comm=comm,
        data=data,
        late_s=late_s,
        cpu=(rank["cpu_s"] - before["cpu_s"]) / dt_s,
        rss=rank["rss"],
        threads=rank["threads"],
        doing=("in " if rank["inside"] else "after ") + rank["doing"] if rank["doing"] else "",
    )


def _time_inside(rank: Mapping[str, Any], start_s: float, end_s: float) -> float:
    """Seconds of an interval that a rank spent in collectives; they do not overlap much."""
    calls = [*rank["calls"], *([[rank["arrived_s"], end_s]] if rank["inside"] else [])]
    times = (max(0.0, min(end, end_s) - max(begun, start_s)) for begun, end in calls)
    return float(sum(times))
