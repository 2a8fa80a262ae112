"""Random programs of collectives: `python -m tests.comm.sweep.sequences --examples 2000`.

Groups are made of groups; what runs in the background is waited for in any order, which differs
from rank to rank; the tables are so small that every way is taken. The ranks of one job live
through all examples. If one fails, its group may be unusable, so the next, to which hypothesis
shrinks it, runs on new ranks.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disttorch.comm import connect, join_tcp
from disttorch.comm.algorithms import choice
from disttorch.comm.algorithms.choice import Way
from disttorch.comm.collectives import all_reduce, subgroup
from disttorch.comm.group import ProcessGroup
from disttorch.comm.transport import remap
from tests.comm import ranks
from tests.comm.ranks import RankFailed, StandingRanks
from tests.comm.sweep.checks import CHECKS, REDUCING, Case, Finish, Surroundings
from tests.comm.sweep.layouts import LAYOUTS
from tests.comm.sweep.model import DTYPES, LARGE, OPS
from tests.comm.sweep.ways import MOVED_FROM_BYTES

SIZES = (0, 1, 2, 7, 63, 500, 1001, 3000, 5003, 20_011, LARGE)
WINDOW_BYTES = LARGE * 16 + 4096
_ANY = 1 << 60
_STAGE_BYTES, _STAGE_BYTES_BETWEEN_HOSTS = 12 << 10, 40 << 10


@dataclass(frozen=True)
class Step:
    """One collective of group number `group`; then, of what is under way, `ends` is waited for."""

    group: int
    case: Case
    ends: int | None


@dataclass(frozen=True)
class Program:
    """What all ranks do: make groups, each of members of an earlier one, and take the steps."""

    groups: list[tuple[int, list[int]]]
    steps: list[Step]


def run(world: ProcessGroup, program: Program) -> None:
    """Live through a program; raises AssertionError where a result is not the model's."""
    groups: list[ProcessGroup | None] = [world]
    for parent, members in program.groups:
        within = groups[parent]
        groups.append(within and within.new_group(members))
    windows = [group and group.allocate(WINDOW_BYTES) for group in groups]
    pending: list[Finish] = []
    for step in program.steps:
        group, case = groups[step.group], step.case
        if group is not None:
            # In the background two of them would share the memory.
            window = windows[step.group] if case.layout == "window" else None
            around = Surroundings(group, group._mesh.shared, window, case.number % 3)
            pending.append(CHECKS[case.name](around, case))
            if not case.background:
                pending.pop()()
        if step.ends is not None and pending:
            pending.pop((step.ends + world.rank) % len(pending))()
    for finish in pending[:: 1 if world.rank % 2 else -1]:
        finish()
    for group in groups[:0:-1]:
        if group is not None:
            # Whoever is slow must not find that the others have left.
            group.barrier()
            group.close()


@st.composite
def programs(draw: st.DrawFn, n_ranks: int) -> Program:
    sizes, groups = [n_ranks], []
    for _ in range(draw(st.integers(0, 2))):
        parent = draw(st.integers(0, len(groups)))
        members = st.lists(
            st.integers(0, sizes[parent] - 1), min_size=1, max_size=sizes[parent], unique=True
        )
        groups.append((parent, draw(members)))
        sizes.append(len(groups[-1][1]))
    numbers = range(draw(st.integers(1, 10)))
    steps = [draw(_steps(number, len(groups))) for number in numbers]
    return Program(groups, steps)


@st.composite
def _steps(draw: st.DrawFn, number: int, n_groups: int) -> Step:
    name = draw(st.sampled_from(sorted(CHECKS)))
    dtype = draw(st.sampled_from(DTYPES))
    ops = [op for op, dtypes in OPS.items() if dtype in dtypes]
    op = draw(st.sampled_from(ops)) if name in REDUCING else None
    background = draw(st.booleans())
    layouts = LAYOUTS if background else (*LAYOUTS, "window")
    case = Case(
        number,
        name,
        op,
        dtype,
        draw(st.sampled_from(SIZES)),
        draw(st.booleans()),
        draw(st.sampled_from(layouts)),
        background,
    )
    ends = draw(st.none() | st.integers(0, 9))
    return Step(draw(st.integers(0, n_groups)), case, ends)


def _ladder(*ways: Way, first: int = 64, factor: int = 8) -> tuple[choice.Row, ...]:
    """A table's rows of these ways, each up to `factor` times the bytes of the one before."""
    limits = [first * factor**i for i in range(len(ways) - 1)]
    return ((_ANY, tuple(zip([*limits, _ANY], ways, strict=True))),)


def _further_ways() -> list[Way]:
    """Ways of all_reduce in shared memory that the table names, besides those known here."""
    known = {Way.DIRECT, Way.STREAMED, Way.SCATTERED, Way.REACH}
    rows = itertools.chain(*(ways for _, ways in choice.SHARED["all_reduce"]))
    return list(dict.fromkeys(way for _, way in rows if way not in known))


@contextmanager
def crowded(hosts: str) -> Iterator[None]:
    """Let ranks that are forked now, on such hosts, take all ways with few bytes."""
    shared = {
        "all_reduce": _ladder(Way.DIRECT, Way.STREAMED, Way.SCATTERED, *_further_ways(), Way.REACH),
        "all_to_all": _ladder(Way.STAGED, Way.REACH, first=512),
    }
    paired = _ladder(Way.STAGED, Way.PAIRWISE, Way.RING, first=512)
    tree = _ladder(Way.STAGED, Way.TREE, Way.RING, first=512)
    apart = {
        "all_reduce": _ladder(
            Way.DIRECT, Way.SCATTERED, Way.RING, Way.PAIRWISE, Way.HALVING, Way.DOUBLING, factor=6
        ),
        **dict.fromkeys(("all_gather", "reduce_scatter"), paired),
        **dict.fromkeys(("broadcast", "reduce"), tree),
    }
    wire = {"all_reduce": _ladder(Way.DIRECT, Way.SCATTERED, first=512)}
    with (
        mock.patch.dict(choice.SHARED, shared),
        mock.patch.dict(choice.APART, apart),
        mock.patch.dict(choice.WIRE, wire),
        mock.patch.dict(choice.BY_HOSTS_ABOVE, dict.fromkeys(choice.BY_HOSTS_ABOVE, 4096)),
        mock.patch.object(connect, "STAGE_BYTES", _STAGE_BYTES),
        mock.patch.object(subgroup, "STAGE_BYTES", _STAGE_BYTES),
        mock.patch.object(join_tcp, "STAGE_BYTES", _STAGE_BYTES_BETWEEN_HOSTS),
        mock.patch.object(all_reduce, "_IN_PLACE_FROM_BYTES", 256),
        mock.patch.object(choice, "REMAP_FROM_BYTES", MOVED_FROM_BYTES),
        mock.patch.object(remap, "_PATIENCE", 1),
        mock.patch.object(ranks, "hosts", hosts),
    ):
        yield


def check(n_ranks: int, hosts: str, n_examples: int) -> None:
    """Run so many programs; raises RankFailed for the shortest that fails."""
    standing: list[StandingRanks] = []

    @given(programs(n_ranks))
    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def example(program: Program) -> None:
        if not standing:
            with crowded(hosts), np.errstate(all="ignore"):
                standing.append(StandingRanks(n_ranks, run))
        try:
            standing[0].tell(program)
        except RankFailed:
            standing.pop().close()
            raise

    tried: Callable[[], None] = example
    try:
        tried()
    finally:
        for each in standing:
            each.close()


def main() -> None:
    """Run the number of examples that the arguments ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--hosts", default="", help="as aab, of each rank; by default all one")
    parser.add_argument("--ranks", type=int, default=3)
    asked = parser.parse_args()
    n_ranks, started_s = len(asked.hosts) or asked.ranks, time.monotonic()
    check(n_ranks, asked.hosts, asked.examples)
    where = asked.hosts or "one host"
    print(f"{asked.examples} programs, {n_ranks} ranks on {where}: right, "
          f"{time.monotonic() - started_s:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
