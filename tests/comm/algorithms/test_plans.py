"""Plans carried out by a simulation: what ranks end with, in which order it was added up, what was
sent, and that nothing is overwritten which may still be on its way.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disttorch.comm.algorithms import choice, plans
from disttorch.comm.algorithms.choice import Way
from disttorch.comm.algorithms.plans import Plan

RANKS = range(1, 18)
ANY_RANKS = st.integers(RANKS.start, RANKS.stop - 1)
# A sum is a rank, or the sums that were added, in their order.
Sum = int | tuple["Sum", ...]
Way_of = Callable[[int, int], Plan]


@dataclass
class Ran:
    """What a run ends with: each rank's blocks, and blocks sent by each, in `n_blocks` an array."""

    plans: list[Plan]
    held: list[list[Sum | None]]
    n_sent: list[int] = field(default_factory=list)


def ranks_of(total: Sum | None) -> list[int]:
    """The ranks in a sum, in the order in which they were added."""
    if isinstance(total, tuple):
        return [rank for part in total for rank in ranks_of(part)]
    return [] if total is None else [total]


class Simulated:
    """A rank that carries out its plan as far as it can, with a queue from each rank to each."""

    def __init__(self, rank: int, plan: Plan, queues: dict, held: list[Sum | None]) -> None:
        self.rank, self.plan, self.queues, self.held = rank, plan, queues, held
        self.n_sent = 0
        self.sent: dict[int, Sum | None] = {}

    def run(self) -> Iterator[None]:
        """Yields whenever something that it waits for has not come."""
        for k, step in enumerate((*self.plan.sums, *self.plan.results)):
            adding = k < len(self.plan.sums)
            for move in step.sends:
                for block in range(move.low, move.high):
                    self.queues[self.rank, move.peer].append((block, self.held[block]))
                    self.n_sent += 1
                    if not step.adds_to(block):
                        # Without a copy: until the array may be overwritten.
                        self.sent[block] = self.held[block]
            for low, high, peers in step.together():
                for block in range(low, high):
                    came = {}
                    for peer in peers:
                        while not self.queues[peer, self.rank]:
                            yield
                        name, came[peer] = self.queues[peer, self.rank].popleft()
                        assert name == block, "two ranks disagree on the order"
                    self._put(block, came, adding=adding)

    def _put(self, block: int, came: dict[int, Sum | None], *, adding: bool) -> None:
        if adding:
            assert block not in self.sent, "what is under way is written over"
            assert not any(set(ranks_of(came[p])) & {self.rank} for p in came), "added twice"
            parts = {**came, self.rank: self.held[block]}
            self.held[block] = tuple(parts[rank] for rank in sorted(parts))
        else:
            (self.held[block],) = came.values()
            mine = ranks_of(self.sent.get(block))
            assert set(mine) <= set(ranks_of(self.held[block])), "what is under way is written over"


def simulate(plan_of: Way_of, size: int, held: Callable[[int, int], Sum | None]) -> Ran:
    """Run all ranks; `held(rank, block)` is what each begins with."""
    queues: dict[tuple[int, int], deque] = {
        pair: deque() for pair in itertools.permutations(range(size), 2)
    }
    made = [plan_of(rank, size) for rank in range(size)]
    (n_blocks,) = {plan.n_blocks for plan in made}
    ranks = [
        Simulated(rank, plan, queues, [held(rank, block) for block in range(n_blocks)])
        for rank, plan in enumerate(made)
    ]
    waiting = {rank.rank: rank.run() for rank in ranks}
    for _ in range(10 * size + 10):
        for number in list(waiting):
            if next(waiting[number], "ended") == "ended":
                del waiting[number]
    assert not waiting, f"ranks {sorted(waiting)} wait forever"
    assert not any(queues.values()), "something is sent that nobody waits for"
    return Ran(made, [rank.held for rank in ranks], [rank.n_sent for rank in ranks])


def begun(rank: int, block: int) -> int:
    """Every rank has its own part of every block."""
    return rank


ALL_REDUCE = {way: plan for (name, way), plan in plans.PLANS.items() if name == "all_reduce"}


@pytest.mark.parametrize("way", ALL_REDUCE)
@given(size=ANY_RANKS)
@settings(max_examples=20, deadline=None)
def test_all_reduce_adds_every_rank_once_and_in_one_way_for_all(way: Way, size: int) -> None:
    ran = simulate(ALL_REDUCE[way], size, begun)
    assert all(held == ran.held[0] for held in ran.held)
    for total in ran.held[0]:
        assert sorted(ranks_of(total)) == list(range(size))


@pytest.mark.parametrize("way", ALL_REDUCE)
def test_the_sum_of_two_ranks_is_in_their_order(way: Way) -> None:
    ran = simulate(ALL_REDUCE[way], 2, begun)
    assert ran.held == [[(0, 1)] * ran.plans[0].n_blocks] * 2


@given(size=ANY_RANKS)
def test_pairwise_sums_are_in_the_order_of_ranks(size: int) -> None:
    ran = simulate(plans.pairwise, size, begun)
    in_order = tuple(range(size)) if size > 1 else 0
    assert all(total == in_order for held in ran.held for total in held)


def test_the_order_of_a_ring_and_of_pairs() -> None:
    ring = simulate(plans.ring, 4, begun).held[0]
    assert ring == [
        (0, ((1, 2), 3)),
        ((0, (2, 3)), 1),
        (((0, 3), 1), 2),
        (((0, 1), 2), 3),
    ]
    assert simulate(plans.doubling, 4, begun).held[0] == [((0, 1), (2, 3))]
    assert simulate(plans.halving, 4, begun).held[0] == [((0, 2), (1, 3))] * 4
    # Rank 1 hands all it has to rank 0, which acts for it too.
    assert simulate(plans.doubling, 5, begun).held[0] == [(((0, 1), 2), (3, 4))]


# The most that a rank sends, in arrays, and how many messages follow from each other.
def most_sent(way: Way, size: int) -> float:
    ideal = 2 * (size - 1) / size
    beyond = 0 if size & (size - 1) == 0 else 1
    levels = (size - 1).bit_length()
    return {
        Way.RING: ideal, Way.PAIRWISE: ideal, Way.HALVING: ideal + beyond, Way.DOUBLING: levels
    }[way]  # fmt: skip


@pytest.mark.parametrize("way", ALL_REDUCE)
@pytest.mark.parametrize("size", RANKS)
def test_what_is_sent(way: Way, size: int) -> None:
    ran = simulate(ALL_REDUCE[way], size, begun)
    assert max(ran.n_sent) / ran.plans[0].n_blocks <= most_sent(way, size) + 1e-9
    levels = (size - 1).bit_length()
    turns = {Way.RING: 2 * (size - 1), Way.PAIRWISE: 2 * (size > 1), Way.HALVING: 2 * levels,
             Way.DOUBLING: levels}[way]  # fmt: skip
    assert max(len(plan.sums) + len(plan.results) for plan in ran.plans) <= turns + 1


@pytest.mark.parametrize("make", [plans.ring_reduce_scatter, plans.pairwise_reduce_scatter])
@pytest.mark.parametrize("size", RANKS)
def test_reduce_scatter(make: Way_of, size: int) -> None:
    ran = simulate(make, size, begun)
    for rank, plan in enumerate(ran.plans):
        assert plan.owned == (rank, rank + 1) and not plan.results
        assert sorted(ranks_of(ran.held[rank][rank])) == list(range(size))
    assert set(ran.n_sent) == {size - 1}


@pytest.mark.parametrize("make", [plans.ring_all_gather, plans.pairwise_all_gather])
@pytest.mark.parametrize("size", RANKS)
def test_all_gather(make: Way_of, size: int) -> None:
    ran = simulate(make, size, lambda rank, block: rank if rank == block else None)
    assert ran.held == [list(range(size))] * size
    assert set(ran.n_sent) == {size - 1}


@pytest.mark.parametrize("make", [plans.tree_reduce, plans.chain_reduce])
@given(size=ANY_RANKS, root=ANY_RANKS)
@settings(max_examples=30, deadline=None)
def test_reduce(make: Callable[..., Plan], size: int, root: int) -> None:
    root %= size
    ran = simulate(partial(make, root=root), size, begun)
    assert sorted(ranks_of(ran.held[root][0])) == list(range(size))
    assert [plan.owned == (0, 1) for plan in ran.plans] == [rank == root for rank in range(size)]
    assert all(n == (rank != root) for rank, n in enumerate(ran.n_sent))


@pytest.mark.parametrize(
    ("make", "most"), [(plans.tree_broadcast, None), (plans.chain_broadcast, 1)]
)
@given(size=ANY_RANKS, root=ANY_RANKS)
@settings(max_examples=30, deadline=None)
def test_broadcast(make: Callable[..., Plan], most: int | None, size: int, root: int) -> None:
    root %= size
    ran = simulate(partial(make, root=root), size, lambda rank, _: rank if rank == root else None)
    assert ran.held == [[root]] * size
    assert max(ran.n_sent) <= ((size - 1).bit_length() if most is None else most)


def test_what_comes_in_one_order_is_handed_on() -> None:
    steps = [*plans.ring(0, 4).sums, *plans.ring(0, 4).results]
    assert all(step.hands_to(after) for step, after in itertools.pairwise(steps))
    first, second, *_ = plans.doubling(0, 4).sums
    # It changes while it would be sent.
    assert not first.hands_to(second)
    pairwise = plans.pairwise(0, 4)
    assert pairwise.sums[0].hands_to(pairwise.results[0])


def test_the_table_names_ways_that_have_plans() -> None:
    for collective, rows in choice.APART.items():
        for _, ways in rows:
            for _, way in ways:
                is_staged = way in (Way.DIRECT, Way.STAGED, Way.SCATTERED)
                assert is_staged or (collective, way) in plans.PLANS


def test_a_rank_owns_the_blocks_of_its_span_and_no_others() -> None:
    assert [Plan(5, owned=(1, 3)).owns(block) for block in range(5)] == [0, 1, 1, 0, 0]
