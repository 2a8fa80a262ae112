"""Which way collectives take: each in turn, whatever the table would choose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from disttorch.comm import connect, join_tcp
from disttorch.comm.algorithms import choice
from disttorch.comm.algorithms.choice import Row, Way
from disttorch.comm.algorithms.plans import PLANS
from disttorch.comm.collectives import all_reduce, subgroup
from disttorch.comm.transport import remap
from disttorch.comm.transport.segment import PAGE_BYTES
from tests.comm import ranks

_ANY = 1 << 60
_NEVER = {name: _ANY for name in choice.BY_HOSTS_ABOVE}
_ALWAYS = {name: -1 for name in choice.BY_HOSTS_ABOVE}
# Small, so that small arrays take several chunks; the ways between hosts need more in a stage.
_STAGE_BYTES = 12 << 10
_STAGE_BYTES_BETWEEN_HOSTS = 40 << 10
# Hosts that come in order and not, of one rank and of several.
MIXED_HOSTS = {1: "a", 2: "ab", 3: "aba", 5: "abaab", 8: "abcabcab"}
# More than whole pages can be moved of; so small only here.
MOVED_FROM_BYTES = 4 * PAGE_BYTES
TRANSPORTS = ("shared", "tcp", "hosts")


@dataclass(frozen=True)
class Setting:
    """A transport and a way for each collective that has several; `exact` if in rank order.

    `first` marks the setting of a transport that collectives of one way are run in, too.
    """

    transport: str
    name: str
    ways: dict[str, Way]
    exact: bool
    by_hosts: bool = False
    windows: bool = False
    moved: bool = False
    first: bool = False

    def serves(self, name: str) -> bool:
        """Whether this differs from the first setting for the collective of a check."""
        if self.first:
            return True
        if self.by_hosts:
            return collective_of(name) in choice.BY_HOSTS_ABOVE
        return collective_of(name) in self.ways


def collective_of(check: str) -> str:
    """The table's name of what a check calls."""
    for name in ("all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast"):
        if check.startswith(name):
            return name
    return check


def settings(transport: str, only: str = "") -> list[Setting]:
    """All settings of a transport; those whose name has `only` in it."""
    found = {"shared": _shared, "tcp": _apart, "hosts": _mixed}[transport]()
    return [setting for setting in found if only in setting.name]


def _shared() -> Iterator[Setting]:
    known = ("DIRECT", "STREAMED", "SCATTERED", "REACH")
    # A way that this does not know is one of all_reduce that the table for shared memory names.
    rows = itertools.chain(*(ways for _, ways in choice.SHARED["all_reduce"]))
    names = [*known, *sorted({way.name for _, way in rows} - set(known))]
    for i, name in enumerate(names):
        to_all = Way.REACH if name == "REACH" else Way.STAGED
        ways = {"all_reduce": Way[name], "all_to_all": to_all}
        yield Setting("shared", name, ways if i in (0, 3) else {"all_reduce": Way[name]}, True,
                      first=i == 0)  # fmt: skip
    yield Setting("shared", "WINDOWS", {"all_reduce": Way.DIRECT}, True, windows=True)
    yield Setting("shared", "MOVED", {"all_reduce": Way.DIRECT}, True, moved=True)


def _apart() -> Iterator[Setting]:
    staged = {name: Way.STAGED for name in choice.APART} | {"all_reduce": Way.DIRECT}
    yield Setting("tcp", "DIRECT", staged, True, first=True)
    yield Setting("tcp", "SCATTERED", {"all_reduce": Way.SCATTERED}, True)
    for way in dict.fromkeys(way for _, way in PLANS):
        ways = {name: way for name, planned in PLANS if planned is way}
        yield Setting("tcp", way.name, ways, exact=way is Way.PAIRWISE)


def _mixed() -> Iterator[Setting]:
    yield Setting("hosts", "DIRECT", {"all_reduce": Way.DIRECT}, True, first=True)
    yield Setting("hosts", "SCATTERED", {"all_reduce": Way.SCATTERED}, True)
    yield Setting("hosts", "BY_HOSTS", {}, False, by_hosts=True)


@contextmanager
def forced(setting: Setting, n_ranks: int) -> Iterator[None]:
    """Let ranks that are forked now be on such hosts, with small stages, and take these ways."""
    shared = setting.transport == "shared"
    nbytes = _STAGE_BYTES_BETWEEN_HOSTS if setting.by_hosts else _STAGE_BYTES
    rows: dict[str, tuple[Row, ...]] = {
        name: ((_ANY, ((0, _without_steps(name, way)), (_ANY, way))),)
        for name, way in setting.ways.items()
    }
    environ = {"DISTTORCH_TRANSPORT": "tcp"} if setting.transport == "tcp" else {}
    hosts = MIXED_HOSTS[n_ranks] if setting.transport == "hosts" else ""
    with (
        mock.patch.dict(choice.BY_HOSTS_ABOVE, _ALWAYS if setting.by_hosts else _NEVER),
        mock.patch.dict(choice.SHARED, rows if shared else {}),
        mock.patch.dict(choice.WIRE, {} if shared else _of(choice.WIRE, rows)),
        mock.patch.dict(choice.APART, {} if shared else rows),
        mock.patch.object(connect, "STAGE_BYTES", nbytes),
        mock.patch.object(subgroup, "STAGE_BYTES", nbytes),
        mock.patch.object(join_tcp, "STAGE_BYTES", nbytes),
        mock.patch.object(all_reduce, "_IN_PLACE_FROM_BYTES", 0),
        mock.patch.object(choice, "REMAP_FROM_BYTES", MOVED_FROM_BYTES if setting.moved else _ANY),
        mock.patch.object(remap, "_PATIENCE", 1),
        mock.patch.dict("os.environ", environ),
        mock.patch.object(ranks, "hosts", hosts),
    ):
        yield


def _without_steps(name: str, way: Way) -> Way:
    """The way of empty arrays, whose addresses mean nothing."""
    if way is not Way.REACH:
        return way
    return Way.DIRECT if name == "all_reduce" else Way.STAGED


def _of(
    table: dict[str, tuple[Row, ...]], rows: dict[str, tuple[Row, ...]]
) -> dict[str, tuple[Row, ...]]:
    staged = {Way.DIRECT, Way.SCATTERED, Way.STAGED}
    return {name: row for name, row in rows.items()
            if name in table and row[0][1][-1][1] in staged}  # fmt: skip
