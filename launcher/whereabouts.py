"""Where the ranks of a host are, in the few words that the launchers of other hosts need: pure.

Hosts share no clock, so what is told are ages, which become times of the clock of whoever hears of
them. Of each rank the latest call in each of its groups is told, which is all that `stall` asks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from disttorch.comm.status import Record

MAX_GROUPS = 16


@dataclass(frozen=True)
class Whereabouts:
    """Of one host or several: the living ranks, those that have joined, and the calls of each.

    `joining_since_s` is when the first of them had joined, `host_of` the hosts of ranks elsewhere.
    `stacks` are lines on ranks that keep others waiting, once somebody has asked these.
    """

    alive: frozenset[int]
    joined: frozenset[int]
    joining_since_s: float
    records: Mapping[int, Sequence[Record]]
    stacks: tuple[str, ...] = ()
    host_of: Mapping[int, int] = field(default_factory=dict)


def pack(place: Whereabouts, restarts: int, now_s: float) -> dict[str, Any]:
    """As plain values, for JSON; `restarts` is the attempt that this is about."""
    return {
        "restarts": restarts,
        "alive": sorted(place.alive),
        "joined": sorted(place.joined),
        "joining_s": now_s - place.joining_since_s,
        "calls": {str(r): [_packed(c, now_s) for c in _latest(place.records[r])]
                  for r in sorted(place.records)},
        "stacks": list(place.stacks),
    }  # fmt: skip


def unpack(values: Mapping[str, Any], host: int, seen_s: float) -> Whereabouts:
    """What `pack` was given on `host`, in times of this host's clock, which showed `seen_s`."""
    return Whereabouts(
        alive=frozenset(values["alive"]),
        joined=frozenset(values["joined"]),
        joining_since_s=seen_s - values["joining_s"],
        records={int(r): [_unpacked(int(r), seen_s, *call) for call in calls]
                 for r, calls in values["calls"].items()},
        stacks=tuple(values["stacks"]),
        host_of=dict.fromkeys(values["alive"], host),
    )  # fmt: skip


def merged(places: Iterable[Whereabouts]) -> Whereabouts:
    """All hosts as if they were one."""
    found = list(places)
    joining = [place.joining_since_s for place in found if place.joined]
    return Whereabouts(
        alive=frozenset().union(*(place.alive for place in found)),
        joined=frozenset().union(*(place.joined for place in found)),
        joining_since_s=min(joining, default=0.0),
        records={rank: calls for place in found for rank, calls in sorted(place.records.items())},
        host_of={rank: host for place in found for rank, host in place.host_of.items()},
    )


def _latest(records: Sequence[Record]) -> list[Record]:
    """The last collective and the last message in each group, oldest first."""
    latest = {(record.group, record.sequence > 0): record for record in records}
    return sorted(latest.values(), key=lambda record: record.begun_s)[-2 * MAX_GROUPS :]


def _packed(record: Record, now_s: float) -> list[Any]:
    ended_ago_s = None if record.under_way else now_s - record.ended_s
    call = (record.operation, record.reduction, record.dtype, record.shape, record.root)
    return [now_s - record.begun_s, ended_ago_s, record.group, record.sequence, *call, record.site]


def _unpacked(
    rank: int,
    seen_s: float,
    begun_ago_s: float,
    ended_ago_s: float | None,
    group: str,
    sequence: int,
    operation: str,
    reduction: str,
    dtype: str,
    shape: Sequence[int],
    root: int,
    site: str,
) -> Record:
    ended_s = 0.0 if ended_ago_s is None else seen_s - ended_ago_s
    return Record(
        rank, group, sequence, operation, reduction, dtype, tuple(shape), root, site,
        seen_s - begun_ago_s, ended_s,
    )  # fmt: skip
