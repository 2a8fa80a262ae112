"""Which way a collective takes: one table for all.

A row holds, for groups of at most so many ranks, the ways in order of size: each up to so many
bytes of the array that is given, the last without limit. Ranks must choose alike, so the choice
depends on nothing but what their headers compare. The limits come from docs/crossovers.json:
timings of each way with 2, 4 and 8 ranks on two cores, by `benchmarks.crossovers`.
"""

from __future__ import annotations

import sys
from enum import Enum

KB, MB = 1 << 10, 1 << 20
_ANY = sys.maxsize


class Way(Enum):
    """How data moves; see `all_reduce`, `movement` and `reach`, and from RING on `plans`."""

    DIRECT = "direct"
    STREAMED = "streamed"
    SCATTERED = "scattered"
    STAGED = "staged"
    REACH = "reach"
    RING = "ring"
    PAIRWISE = "pairwise"
    HALVING = "halving"
    DOUBLING = "doubling"
    TREE = "tree"


Row = tuple[int, tuple[tuple[int, Way], ...]]

# Of two ranks the times of STREAMED vary by a factor of two from job to job from 25 MB on, those of
# REACH by a tenth; where they are alike on average the steadier way is chosen.
SHARED: dict[str, tuple[Row, ...]] = {
    "all_reduce": (
        (2, ((2 * MB, Way.DIRECT), (16 * MB, Way.STREAMED), (_ANY, Way.REACH))),
        (4, ((4 * MB, Way.DIRECT), (_ANY, Way.REACH))),
        (_ANY, ((2 * MB, Way.DIRECT), (_ANY, Way.REACH))),
    ),
    "all_to_all": (
        (2, ((128 * KB, Way.STAGED), (_ANY, Way.REACH))),
        (_ANY, ((MB, Way.STAGED), (_ANY, Way.REACH))),
    ),
}
# Between hosts of which some have several ranks; more than this goes `by_hosts`. One step with all
# data to all is quicker than two with a part up to here.
WIRE: dict[str, tuple[Row, ...]] = {
    "all_reduce": ((_ANY, ((64 * KB, Way.DIRECT), (_ANY, Way.SCATTERED))),),
    "all_to_all": ((_ANY, ((_ANY, Way.STAGED),)),),
}
# Each rank on a host of its own. Steps of all ranks have the fewest messages; what is left to all
# other ways in the measurement, where ranks share two cores, is to save copies and to pass on what
# comes. Of those alike there, rank order decided for PAIRWISE, which sends no more than a RING; of
# two ranks a ring does the same. Above what was measured, a RING of broadcasts is chosen since no
# rank sends more than the array, where the root of a TREE sends it log2 P times.
APART: dict[str, tuple[Row, ...]] = {
    "all_reduce": (
        (2, ((4 * MB, Way.DIRECT), (_ANY, Way.RING))),
        (_ANY, ((128 * KB, Way.DIRECT), (MB, Way.SCATTERED), (_ANY, Way.PAIRWISE))),
    ),
    "all_gather": ((_ANY, ((2 * MB, Way.STAGED), (_ANY, Way.PAIRWISE))),),
    "reduce_scatter": ((_ANY, ((512 * KB, Way.STAGED), (_ANY, Way.PAIRWISE))),),
    "broadcast": (
        (2, ((2 * MB, Way.STAGED), (_ANY, Way.RING))),
        (_ANY, ((4 * MB, Way.STAGED), (32 * MB, Way.TREE), (_ANY, Way.RING))),
    ),
    "reduce": (
        (2, ((2 * MB, Way.STAGED), (_ANY, Way.RING))),
        (_ANY, ((4 * MB, Way.STAGED), (32 * MB, Way.TREE), (_ANY, Way.RING))),
    ),
    "all_to_all": WIRE["all_to_all"],
}
# On one host, arrays from here on that are reduced again and again are moved (`remapped`) and then
# take 0.6 to 0.9 of the time of the ways above.
REMAP_FROM_BYTES = MB
# Where ranks may not read each other's memory.
INSTEAD_OF_REACH = {"all_reduce": Way.SCATTERED, "all_to_all": Way.STAGED}


# Array or piece of more than so many bytes: then it pays that each host adds up its own first and
# is sent everything once, in one to three more steps (`hierarchical`, `between_hosts`). Measured
# with two hosts of two and four ranks, which were one machine.
BY_HOSTS_ABOVE = {
    "all_reduce": 512 * KB,
    "broadcast": 512 * KB,
    "all_gather": 128 * KB,
    "reduce_scatter": 256 * KB,
}


def by_hosts(collective: str, nbytes: int, hosts: tuple[tuple[int, ...], ...]) -> bool:
    """Whether a group whose ranks are on these `hosts` is to take the way of several hosts."""
    n_ranks = sum(map(len, hosts))
    return 1 < len(hosts) < n_ranks and nbytes > BY_HOSTS_ABOVE[collective]


def moves(nbytes: int) -> bool:
    """Whether arrays of so many bytes are moved on one host, if they are reduced repeatedly."""
    return nbytes >= REMAP_FROM_BYTES


def choose(collective: str, nbytes: int, n_ranks: int, *, shared: bool, apart: bool = False) -> Way:
    """The way for arrays of `nbytes` in a group of `n_ranks`.

    They are on one host if `shared`, each on a host of its own if `apart`.
    """
    for most_ranks, ways in (SHARED if shared else APART if apart else WIRE)[collective]:
        if n_ranks <= most_ranks:
            return next(way for most_bytes, way in ways if nbytes <= most_bytes)
    raise AssertionError("the last row is for any number of ranks")
