"""Where the ranks' time goes in a training step, and which rank the others wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from disttorch.comm import phases
from disttorch.comm.status import RING_RECORDS, Record
from disttorch.distributed.world import resolve_group

# Below this share of a step, being last is chance.
_STRAGGLER_SHARE = 0.05
_N_BARRIERS = 9
_PHASES = {"data": phases.DATA, "backward": phases.BACKWARD, "optimiser": phases.OPTIMISER}
_Arrivals = dict[tuple[str, int], float]


@dataclass(frozen=True)
class RankTimes:
    """Mean seconds of one rank's step and its parts.

    `communication_s` is what the rank spends in collectives outside of backward and in waiting at
    its end, `overlapped_s` what runs beside backward; `forward_s` is all that nothing else accounts
    for. `late_s` is how long a step's collectives waited for this rank alone.
    """

    rank: int
    step_s: float
    data_s: float
    forward_s: float
    backward_s: float
    communication_s: float
    optimiser_s: float
    overlapped_s: float
    late_s: float


_COLUMNS = {
    "step": "step_s",
    "data": "data_s",
    "forward": "forward_s",
    "backward": "backward_s",
    "communication": "communication_s",
    "optimiser": "optimiser_s",
    "(overlapped)": "overlapped_s",
    "late": "late_s",
}


@dataclass(frozen=True)
class StepReport:
    """Times of all ranks over `n_steps` steps; `straggler` is a global rank, None if there is none.

    `print(report)` shows a table in milliseconds.
    """

    n_steps: int
    ranks: tuple[RankTimes, ...]
    straggler: int | None

    def __str__(self) -> str:
        rows = [["rank", *_COLUMNS]]
        for times in self.ranks:
            values = [f"{1e3 * getattr(times, name):.2f}" for name in _COLUMNS.values()]
            rows.append([str(times.rank), *values])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        return f"mean of {self.n_steps} steps, ms\n" + "\n".join(lines) + f"\n{self._verdict()}"

    def _verdict(self) -> str:
        if self.straggler is None:
            return "no rank keeps the others waiting"
        times = next(times for times in self.ranks if times.rank == self.straggler)
        others = [other for other in self.ranks if other is not times]
        excess = {
            title: getattr(times, name) - min(getattr(other, name) for other in others)
            for title, name in _COLUMNS.items()
            if title in {"data", "forward", "backward", "optimiser"}
        }
        worst = max(excess, key=excess.__getitem__)
        return (
            f"rank {self.straggler} keeps the others waiting {1e3 * times.late_s:.2f} ms a step; "
            f"it spends {1e3 * excess[worst]:.2f} ms more than another rank in: {worst}"
        )


def step_report(group: Any = None, n_steps: int = 10) -> StepReport:
    """Split the latest `n_steps` steps, or as many as there were, of all ranks; a collective call.

    A step ends with `optimizer.step()`, of several optimisers with that of the one that stepped
    last. Between hosts, whose clocks differ, lateness is told to the time that a barrier takes.
    Raises RuntimeError, on all ranks alike, if a rank has made fewer than two steps.
    """
    own = resolve_group(group)
    records = own.page.records()
    ends = _covered(phases.step_ends()[-n_steps - 1 :], records)
    told = None
    if len(ends) > 1:
        times = _split(own.ranks[own.rank], ends, records)
        told = (times, _arrivals(records, ends[0], ends[-1]), len(ends) - 1)
    everyone = own.all_gather_object(told)
    missing = [rank for rank, one in zip(own.ranks, everyone, strict=True) if one is None]
    if missing:
        names = ", ".join(map(str, missing))
        raise RuntimeError(f"rank {names} has not made two optimiser steps yet")
    ahead_s = _ahead(own.all_gather_object(_moments(own)))
    late = _late([arrivals for _, arrivals, _ in everyone], ahead_s)
    ranks = tuple(
        RankTimes(**{**one[0], "late_s": late_s / one[2]})
        for one, late_s in zip(everyone, late, strict=True)
    )
    return StepReport(min(one[2] for one in everyone), ranks, _straggler(ranks))


def _moments(group: Any) -> list[float]:
    """What this rank's clock shows at moments that are the same for all; none on one host."""
    moments = []
    for _ in range(_N_BARRIERS if len(group.hosts) > 1 else 0):
        group.barrier()
        moments.append(monotonic())
    return moments


def _ahead(moments: Sequence[Sequence[float]]) -> list[float]:
    """Seconds that each rank's clock is ahead of the first's: the median of all moments."""
    if not moments[0]:
        return [0.0] * len(moments)
    apart = [sorted(a - b for a, b in zip(own, moments[0], strict=True)) for own in moments]
    return [differences[len(differences) // 2] for differences in apart]


def _covered(ends: list[float], records: Sequence[Record]) -> list[float]:
    """The ends of steps whose calls are all still on the page, two at least."""
    if len(records) < RING_RECORDS:
        return ends
    late = [end for end in ends if end >= records[0].begun_s]
    return late if len(late) > 1 else ends[-2:]


def _split(rank: int, ends: Sequence[float], records: Sequence[Record]) -> dict[str, Any]:
    begun_s, ended_s = ends[0], ends[-1]
    n_steps = len(ends) - 1
    parts = {
        name: phases.merged(phases.spans(phase), begun_s, ended_s)
        for name, phase in _PHASES.items()
    }
    calls = [(r.begun_s, r.ended_s or ended_s) for r in records]
    comm = phases.merged(calls, begun_s, ended_s)
    averaging = phases.merged(phases.spans(phases.AVERAGING), begun_s, ended_s)
    waiting = phases.length_s(phases.common(averaging, parts["backward"]))
    in_backward = phases.common(comm, parts["backward"])
    beside = phases.length_s(in_backward) - phases.length_s(phases.common(in_backward, averaging))
    busy = phases.merged([span for part in parts.values() for span in part], begun_s, ended_s)
    in_parts = phases.length_s(phases.common(comm, busy))
    seconds = {f"{name}_s": phases.length_s(part) / n_steps for name, part in parts.items()}
    seconds["backward_s"] -= waiting / n_steps
    # A closure's backward runs within the optimiser's step.
    within = phases.common(parts["backward"], parts["optimiser"])
    seconds["optimiser_s"] -= phases.length_s(within) / n_steps
    seconds["step_s"] = (ended_s - begun_s) / n_steps
    seconds["overlapped_s"] = beside / n_steps
    seconds["communication_s"] = (phases.length_s(comm) - in_parts + waiting) / n_steps
    known = sum(seconds[f"{name}_s"] for name in (*parts, "communication"))
    seconds["forward_s"] = max(0.0, seconds["step_s"] - known)
    return {"rank": rank, **seconds}


def _arrivals(records: Sequence[Record], begun_s: float, ended_s: float) -> _Arrivals:
    return {
        (record.group, record.sequence): record.begun_s
        for record in records
        if record.sequence and begun_s <= record.begun_s <= ended_s
    }


def _late(
    arrivals: Sequence[Mapping[tuple[str, int], float]], ahead_s: Sequence[float]
) -> list[float]:
    """Seconds that each rank was the last by, over all collectives that all ranks came to."""
    late = [0.0] * len(arrivals)
    for call in set.intersection(*(set(one) for one in arrivals)):
        order = sorted((one[call] - ahead_s[i], i) for i, one in enumerate(arrivals))
        if len(order) > 1:
            late[order[-1][1]] += order[-1][0] - order[-2][0]
    return late


def _straggler(ranks: Sequence[RankTimes]) -> int | None:
    worst = max(ranks, key=lambda times: times.late_s)
    return worst.rank if worst.late_s > _STRAGGLER_SHARE * worst.step_s else None
