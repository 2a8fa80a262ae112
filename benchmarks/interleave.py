"""Ways to do one thing, timed in turn within one job of several ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Samples = dict[str, list[float]]


def interleaved(
    ways: Mapping[str, Callable[[], object]],
    prepare: Callable[[], object],
    barrier: Callable[[], object],
    rounds: int,
) -> Samples:
    """Seconds of each way in each round, on this rank; every round begins with another way.

    Before each call comes `prepare`, which is to rewrite the buffers, and a barrier.
    """
    names = list(ways)
    taken: Samples = {name: [] for name in names}
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            prepare()
            barrier()
            begun_s = time.perf_counter()
            ways[name]()
            taken[name].append(time.perf_counter() - begun_s)
    return taken


def slowest(ranks: Sequence[Samples]) -> dict[str, float]:
    """For each way the median over rounds of its slowest rank."""
    return {
        name: median(map(max, zip(*(rank[name] for rank in ranks), strict=True)))
        for name in ranks[0]
    }


def rounds_within(seconds: float, one_round_s: float, least: int, most: int) -> int:
    """How many rounds take about so many seconds, within bounds."""
    return max(least, min(most, int(seconds / max(one_round_s, 1e-9))))
