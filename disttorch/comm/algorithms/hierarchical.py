"""Reductions over ranks on several hosts: each host adds up its own before anything leaves it.

H hosts of L ranks, n bytes an array or piece, chunks of c bytes. What a host sends the others, and
not L times that:

| function       | steps       | sent by a host  |
|----------------|-------------|-----------------|
| all_reduce     | n / c + 3   | 2 n (H - 1) / H |
| reduce_scatter | P n / c + 1 | P n (H - 1) / H |

All ranks of a host share the work and the sending. Every element is added up in the order of ranks
within each host, then in the order of hosts, by one rank for all: all get the same bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from disttorch.comm.algorithms.slices import cuts
from disttorch.comm.algorithms.staged_reduce import Stages
from disttorch.comm.deadline import Deadline
from disttorch.comm.mesh import Part, SharedMesh
from disttorch.comm.transport.arena import Array

Hosts = tuple[tuple[int, ...], ...]
Span = tuple[int, int]

# Elements that rounding slices up to whole cache lines adds, for each host.
_SLACK = 256


@dataclass(frozen=True)
class Shares:
    """Who does what with a chunk, as seen by one rank; all in elements of the chunk.

    `sums`: what this rank adds up within its host, with where it lies among its sums.
    `owned`: what each rank adds up over hosts. `merges`: for each run of this rank's owned elements
    the ranks, one of each host, that have its sums, and where. `sends`: to each rank, of the sums.
    """

    sums: tuple[tuple[int, int, int], ...]
    owned: tuple[Span, ...]
    merges: tuple[tuple[int, int, tuple[Span, ...]], ...]
    sends: tuple[tuple[Span, ...], ...]


@lru_cache(maxsize=64)
def shares(hosts: Hosts, rank: int, n_items: int) -> Shares:
    """The shares of a chunk of `n_items`: a part for each host, a slice of it for each rank."""
    parts = list(itertools.pairwise(cuts(n_items, len(hosts))))
    place = {peer: (h, i) for h, ranks in enumerate(hosts) for i, peer in enumerate(ranks)}
    sums = {peer: list(_sums(parts, len(hosts[h]), i)) for peer, (h, i) in place.items()}
    owned = tuple(_slice(parts[h], len(hosts[h]), i) for _, (h, i) in sorted(place.items()))
    home = place[rank][0]
    low, high = owned[rank]
    # Hosts of different numbers of ranks cut a part differently.
    ends = {end for peer in place for end in sums[peer][home][:2] if low < end < high}
    merges = [
        (start, end, tuple(_holder(ranks, sums, home, start) for ranks in hosts))
        for start, end in itertools.pairwise(sorted({low, high, *ends}))
    ]
    sends = [
        () if place[peer][0] == home else _common(sums[rank][place[peer][0]], owned[peer])
        for peer in range(len(place))
    ]
    return Shares(tuple(sums[rank]), owned, tuple(merges), tuple(sends))


def all_reduce(mesh: SharedMesh, flat: Array, stages: Stages, deadline: Deadline) -> None:
    """Reduce `flat` in place.

    Step k brings in chunk k, sums of chunk k - 1 within hosts and results of chunk k - 2, and hands
    on what other hosts have sent of the results of chunk k - 3.
    """
    pipeline = _Pipeline(mesh, flat, stages)
    for k in range(len(pipeline.chunks) + 3):
        pipeline.begin(k)
        if pipeline.has(k):
            pipeline.bring_in(k)
        if pipeline.has(k - 1):
            pipeline.add_up(k - 1)
        if pipeline.has(k - 2):
            pipeline.merge(k - 2)
        if pipeline.has(k - 3):
            pipeline.hand_on(k - 3)
        mesh.send_only(pipeline.routes)
        mesh.sync(deadline)
        if pipeline.has(k - 2):
            pipeline.take(k - 2)
        if pipeline.has(k - 3):
            pipeline.take_handed_on(k - 3)


class _Pipeline:
    """An all_reduce under way. In a stage lie a chunk, then sums, a result, and results of others.

    `*_at` say where, in elements of their dtype.
    """

    def __init__(self, mesh: SharedMesh, flat: Array, stages: Stages) -> None:
        self.rank, self.size = mesh.rank, mesh.size
        self.hosts = mesh.hosts
        self.home = next(h for h, ranks in enumerate(mesh.hosts) if mesh.rank in ranks)
        self.local = mesh.hosts[self.home]
        self.jobs = errands(mesh.hosts)
        self._mesh, self._stages, self._dtype = mesh, stages, flat.dtype
        self._wide = stages.between.itemsize
        width = self._divide(flat.dtype.itemsize)
        starts = range(0, flat.size or 1, width)
        self.chunks = [flat[start : start + width] for start in starts]
        self._now: list[Array] = []
        self._sums_now: list[Array] = []

    def _divide(self, item: int) -> int:
        """Find where things lie in a stage; returns how long chunks may be."""
        n_hosts, fewest = len(self.hosts), min(map(len, self.hosts))
        n_others = 1 + max(i for by in self.jobs for _, i in by.values())
        slack = _SLACK * (n_hosts * self._wide + (1 + n_others) * item)
        share = item + self._wide / fewest + (1 + n_others) * item / (n_hosts * fewest)
        width = max(1, int((self._mesh.stage_bytes - slack) / share))
        self._sums_at = -(-width * item // self._wide)
        behind = self._sums_at + width // fewest + _SLACK * n_hosts
        self._result_at = -(-behind * self._wide // item)
        self._slot = width // (n_hosts * fewest) + _SLACK
        return width

    def has(self, k: int) -> bool:
        return 0 <= k < len(self.chunks)

    def begin(self, k: int) -> None:
        """Go on to the stages of step k."""
        self._before, self._sums_before = self._now, self._sums_now
        self._now = self._mesh.stages(self._dtype)
        self._sums_now = self._mesh.stages(self._stages.between)
        self.routes: list[list[Part]] = [[] for _ in range(self.size)]

    def bring_in(self, k: int) -> None:
        if len(self.local) > 1:
            self._now[self.rank][: self.chunks[k].size] = self.chunks[k]

    def add_up(self, k: int) -> None:
        share = self._share(k)
        held = [self._before[peer] for peer in self.local]
        if len(held) == 1:
            held = [self.chunks[k]]
        sums = self._sums_now[self.rank][self._sums_at :]
        for low, high, at in share.sums:
            self._stages.first(sums[at : at + high - low], [array[low:high] for array in held])
        for route, spans in zip(self.routes, share.sends, strict=True):
            route += [((self._sums_at + at) * self._wide, n * self._wide) for at, n in spans]

    def merge(self, k: int) -> None:
        share = self._share(k)
        low, high = share.owned[self.rank]
        result = self._now[self.rank][self._result_at :]
        sums = [array[self._sums_at :] for array in self._sums_before]
        for start, end, sources in share.merges:
            parts = [sums[peer][at : at + end - start] for peer, at in sources]
            self._stages.second(result[start - low : end - low], parts)
        item = self._dtype.itemsize
        for by in self.jobs:
            if self.rank in by:
                helper = by[self.rank][0]
                self.routes[helper].append((self._result_at * item, (high - low) * item))

    def hand_on(self, k: int) -> None:
        owned = self._share(k).owned
        for peer, (helper, i) in self._handed_on():
            if helper == self.rank:
                n = owned[peer][1] - owned[peer][0]
                at = self._result_at + (1 + i) * self._slot
                result = self._before[peer][self._result_at :]
                self._now[self.rank][at : at + n] = result[:n]

    def take(self, k: int) -> None:
        owned = self._share(k).owned
        for peer in self.local if len(self.local) > 1 else range(self.size):
            low, high = owned[peer]
            self.chunks[k][low:high] = self._now[peer][self._result_at :][: high - low]

    def take_handed_on(self, k: int) -> None:
        owned = self._share(k).owned
        for peer, (helper, i) in self._handed_on():
            low, high = owned[peer]
            at = self._result_at + (1 + i) * self._slot
            self.chunks[k][low:high] = self._now[helper][at : at + high - low]

    def _handed_on(self) -> Iterable[tuple[int, Span]]:
        """The ranks of other hosts whose results one of this host hands on, with who and where."""
        return self.jobs[self.home].items() if len(self.local) > 1 else ()

    def _share(self, k: int) -> Shares:
        return shares(self.hosts, self.rank, self.chunks[k].size)


def reduce_scatter(
    mesh: SharedMesh,
    inputs: Sequence[Array],
    out: Array,
    longest: int,
    stages: Stages,
    deadline: Deadline,
) -> None:
    """Reduce `inputs[r]` of all ranks into the `out` of rank r; all flat, at most `longest` items.

    Step k brings in pieces k of all inputs, and to each rank the sums of its piece k - 1.
    """
    rank, hosts = mesh.rank, mesh.hosts
    home = next(h for h, ranks in enumerate(hosts) if rank in ranks)
    jobs, item, wide = errands(hosts), out.dtype.itemsize, stages.between.itemsize
    most = 1 + max(i for helpers in jobs for _, i in helpers.values())
    width = (mesh.stage_bytes - 2 * wide) // (mesh.size * item + most * wide)
    sums_at = -(-mesh.size * width * item // wide)
    came: list[Array] = []
    for start in range(-width, longest or 1, width):
        pieces, sums = mesh.stages(out.dtype), mesh.stages(stages.between)
        routes: list[list[Part]] = [[] for _ in range(mesh.size)]
        if len(hosts[home]) > 1:
            for peer, array in enumerate(inputs):
                part = array[start + width : start + 2 * width]
                pieces[rank][peer * width : peer * width + part.size] = part
        near = np.empty(0, stages.between)
        if start >= 0:
            held = _held(inputs, start, width, came, hosts[home])
            near = np.empty(held[rank][0].size, stages.between)
            stages.first(near, held[rank])
            for peer, (helper, i) in jobs[home].items():
                if helper == rank:
                    at, n = sums_at + i * width, held[peer][0].size
                    stages.first(sums[rank][at : at + n], held[peer])
                    routes[peer].append((at * wide, n * wide))
        mesh.send_only(routes)
        mesh.sync(deadline)
        if start >= 0:
            parts = [near] * len(hosts)
            for h, helpers in enumerate(jobs):
                if h != home:
                    helper, i = helpers[rank]
                    parts[h] = sums[helper][sums_at + i * width :][: near.size]
            stages.second(out[start : start + width], parts)
        came = pieces


@lru_cache(maxsize=64)
def errands(hosts: Hosts) -> tuple[dict[int, Span], ...]:
    """For each host and each rank on another: who of that host serves it, and as which of its."""
    everyone = sorted(itertools.chain(*hosts))
    found = []
    for ranks in hosts:
        others = [peer for peer in everyone if peer not in ranks]
        n = len(ranks)
        found.append({peer: (ranks[t % n], t // n) for t, peer in enumerate(others)})
    return tuple(found)


def _slice(part: Span, n: int, i: int) -> Span:
    bounds = cuts(part[1] - part[0], n)
    return part[0] + bounds[i], part[0] + bounds[i + 1]


def _sums(parts: Sequence[Span], n: int, i: int) -> Iterator[tuple[int, int, int]]:
    at = 0
    for part in parts:
        low, high = _slice(part, n, i)
        yield low, high, at
        at += high - low


def _holder(
    ranks: Sequence[int], sums: dict[int, list[tuple[int, int, int]]], part: int, start: int
) -> Span:
    """Who of a host has the sums of a part from element `start` on, and where."""
    for rank in ranks:
        low, high, at = sums[rank][part]
        if low <= start < high:
            return rank, at + start - low
    raise AssertionError(f"element {start} is nobody's")


def _common(held: tuple[int, int, int], wanted: Span) -> tuple[Span, ...]:
    low, high = max(held[0], wanted[0]), min(held[1], wanted[1])
    return ((held[2] + low - held[0], high - low),) if low < high else ()


def _held(
    inputs: Sequence[Array], start: int, width: int, came: Sequence[Array], local: Sequence[int]
) -> list[list[Array]]:
    """For each rank what this host's ranks have for it from element `start` on, in their order."""
    pieces = [array[start : start + width] for array in inputs]
    if len(local) == 1:
        return [[piece] for piece in pieces]
    return [
        [came[rank][peer * width :][: piece.size] for rank in local]
        for peer, piece in enumerate(pieces)
    ]
