"""Random collectives on random groups, some in the background: every rank knows what must come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import disttorch as torch
import disttorch.distributed as dist
from disttorch.distributed.world import GroupMember, _World
from tests.comm.ranks import StandingRanks

N = 3
# The first and last are two groups of the same ranks, whose calls must not be mixed up.
MEMBERS = [(0, 1, 2), (0, 1), (1, 2), (0, 2), (2,), (0, 1, 2)]
KINDS = ("all_reduce", "broadcast", "reduce", "all_gather", "gather", "scatter", "reduce_scatter",
         "all_to_all", "barrier", "object")  # fmt: skip
DTYPES = ("float32", "int64", "float64", "uint8")

steps = st.tuples(
    st.integers(0, len(MEMBERS) - 1),
    st.sampled_from(KINDS),
    st.sampled_from([0, 1, 3, 50, 3000]),
    st.sampled_from(DTYPES),
    st.booleans(),
)
plans = st.tuples(st.lists(steps, min_size=1, max_size=12), st.randoms(use_true_random=False))


@pytest.fixture(scope="module")
def ranks():
    standing = StandingRanks(N, carry_out)
    yield standing
    standing.close()


def carry_out(group, plan):
    """Make the calls of a plan, wait for those in the background in its order, compare all."""
    if _World.group is None:
        _World.group = GroupMember.WORLD = dist.group.WORLD = group
        _World.made = [dist.new_group(ranks) for ranks in MEMBERS]
    steps, order = plan
    pending = []
    for number, (which, kind, n, dtype, in_background) in enumerate(steps):
        ranks = MEMBERS[which]
        if group.rank not in ranks:
            continue
        call = Call(_World.made[which], ranks, kind, n, dtype, number)
        work = call.start(group.rank, in_background)
        if work is None:
            call.check()
        else:
            pending.append((order[number], work, call))
    for _, work, call in sorted(pending, key=lambda entry: entry[0]):
        work.wait()
        call.check()


class Call:
    """One collective: its tensors on this rank and what they must hold in the end."""

    def __init__(self, group, ranks, kind, n, dtype, number):
        self.group, self.ranks, self.kind, self.number = group, ranks, kind, number
        self.n, self.dtype = n, getattr(torch, dtype)
        self.root = ranks[number % len(ranks)]
        self.found, self.expected = [], []

    def values(self, rank, part=0):
        """What a rank contributes: small whole numbers, so that sums are exact."""
        numbers = (np.arange(self.n) + 3 * rank + 5 * part + self.number) % 11
        return torch.tensor(numbers.tolist()).to(self.dtype)

    def empty(self):
        return torch.zeros(self.n, dtype=self.dtype)

    def total(self, part=0):
        out = self.values(self.ranks[0], part)
        for rank in self.ranks[1:]:
            out = out + self.values(rank, part)
        return out

    def start(self, rank, in_background):
        how = {"group": self.group}
        if self.kind != "object":
            how["async_op"] = in_background
        return getattr(self, self.kind)(rank, self.ranks.index(rank), how)

    def check(self):
        assert [t.tolist() for t in self.found] == [t.tolist() for t in self.expected], self.kind

    def all_reduce(self, rank, place, how):
        self.found, self.expected = [self.values(rank)], [self.total()]
        return dist.all_reduce(self.found[0], **how)

    def broadcast(self, rank, place, how):
        self.found, self.expected = [self.values(rank)], [self.values(self.root)]
        return dist.broadcast(self.found[0], self.root, **how)

    def reduce(self, rank, place, how):
        self.found = [self.values(rank)]
        self.expected = [self.total() if rank == self.root else self.values(rank)]
        return dist.reduce(self.found[0], self.root, **how)

    def all_gather(self, rank, place, how):
        self.found = [self.empty() for _ in self.ranks]
        self.expected = [self.values(r) for r in self.ranks]
        return dist.all_gather(self.found, self.values(rank), **how)

    def gather(self, rank, place, how):
        if rank == self.root:
            self.found = [self.empty() for _ in self.ranks]
            self.expected = [self.values(r) for r in self.ranks]
        return dist.gather(self.values(rank), self.found or None, self.root, **how)

    def scatter(self, rank, place, how):
        self.found, self.expected = [self.empty()], [self.values(self.root, place)]
        parts = [self.values(rank, part) for part in range(len(self.ranks))]
        return dist.scatter(self.found[0], parts if rank == self.root else None, self.root, **how)

    def reduce_scatter(self, rank, place, how):
        self.found, self.expected = [self.empty()], [self.total(place)]
        parts = [self.values(rank, part) for part in range(len(self.ranks))]
        return dist.reduce_scatter(self.found[0], parts, **how)

    def all_to_all(self, rank, place, how):
        self.found = [self.empty() for _ in self.ranks]
        self.expected = [self.values(r, place) for r in self.ranks]
        parts = [self.values(rank, part) for part in range(len(self.ranks))]
        return dist.all_to_all(self.found, parts, **how)

    def barrier(self, rank, place, how):
        return dist.barrier(**how)

    def object(self, rank, place, how):
        everyone = [None] * len(self.ranks)
        dist.all_gather_object(everyone, {"rank": rank, "n": self.n}, **how)
        assert everyone == [{"rank": r, "n": self.n} for r in self.ranks]


@settings(max_examples=60, deadline=None)
@given(plan=plans)
def test_random_collectives_on_random_groups(ranks, plan):
    steps, random = plan
    ranks.tell((steps, random.sample(range(len(steps)), len(steps))))


def test_handles_of_two_groups_are_waited_for_in_any_order(ranks):
    """The last in the first group is waited for before the first in the second, and so on."""
    steps = [(i % 2 * 5, KINDS[i % 8], 50, "float32", True) for i in range(16)]
    for order in (range(16), range(15, -1, -1)):
        ranks.tell((steps, list(order)))
