"""Who sends which blocks to whom: plans of collectives for ranks that talk in pairs, without I/O.

An array of n bytes is cut into blocks. First sums travel, until that of each block is complete on
some rank; then results do. P ranks, L = log2 P rounded up:

| plan                   | messages in turn | sent by a rank, at most           |
|------------------------|------------------|-----------------------------------|
| ring (all_reduce)      | 2 (P - 1)        | 2 n (P - 1) / P                   |
| pairwise (all_reduce)  | 2                | 2 n (P - 1) / P                   |
| halving (all_reduce)   | 2 L              | 2 n (P - 1) / P; beyond 2^k: + n  |
| doubling (all_reduce)  | L                | n L                               |
| tree (reduce)          | L                | n                                 |
| tree (broadcast)       | L                | n L, the root                     |
| chain (either of them) | P - 1            | n, passed on piece by piece       |

Half of a ring is a reduce_scatter or an all_gather, n then being the bytes of all pieces. What a
step brings to a block is added in the order of the ranks it comes from, among them the one that
adds, so sums of two ranks are those of any other way. Of more, pairwise adds in the order of ranks,
block b of a ring begins with rank b + 1 and goes round, and the others add pairs, then pairs of
pairs. Each block's sum is formed by one rank, or, when doubling, by all alike: all have the same
bits, in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from disttorch.comm.algorithms.choice import Way, choose


@dataclass(frozen=True)
class Move:
    """Blocks `low` to `high - 1`, in their order, to or from group rank `peer`."""

    peer: int
    low: int
    high: int


@dataclass(frozen=True)
class Step:
    """What a rank sends, and what it then waits for, to add it to its blocks or to replace them."""

    sends: tuple[Move, ...] = ()
    comes: tuple[Move, ...] = ()

    def together(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """What comes, blocks `low` to `high - 1`, each with all ranks that it comes from."""
        found: dict[tuple[int, int], tuple[int, ...]] = {}
        for move in self.comes:
            span = (move.low, move.high)
            found[span] = (*found.get(span, ()), move.peer)
        return [(*span, peers) for span, peers in found.items()]

    def adds_to(self, block: int) -> bool:
        """Whether a block that is sent changes in the same step."""
        return any(move.low <= block < move.high for move in self.comes)

    def hands_to(self, after: Step) -> bool:
        """Whether all that `after` sends, and does not change, comes in this step, in one order."""
        spans = self.together()
        return len(spans) == 1 and all(
            spans[0][0] <= move.low and move.high <= spans[0][1] and not after.adds_to(move.low)
            for move in after.sends
        )


@dataclass(frozen=True)
class Plan:
    """One rank's part: steps of sums, the blocks whose sums it then has, and steps of results.

    Two ranks' moves between them are in the same order on both. Without `partial`, what is added
    comes as its ranks were given it, and else as sums of several ranks'.
    """

    n_blocks: int
    sums: tuple[Step, ...] = ()
    owned: tuple[int, int] = (0, 0)
    results: tuple[Step, ...] = ()
    partial: bool = True

    def owns(self, block: int) -> bool:
        """Whether this rank has the sum of all ranks' block before results travel."""
        return self.owned[0] <= block < self.owned[1]


def ring_reduce_scatter(rank: int, size: int) -> Plan:
    """Block b is added up from rank b + 1 round to rank b, which then has it."""
    sums = []
    for i in range(1, size):
        out, into = (rank - i) % size, (rank - i - 1) % size
        sums.append(Step((_block((rank + 1) % size, out),), (_block((rank - 1) % size, into),)))
    return Plan(size, tuple(sums), (rank, rank + 1))


def ring_all_gather(rank: int, size: int) -> Plan:
    """Block b goes from rank b round to rank b - 1."""
    steps = []
    for i in range(size - 1):
        out, into = (rank - i) % size, (rank - i - 1) % size
        steps.append(Step((_block((rank + 1) % size, out),), (_block((rank - 1) % size, into),)))
    return Plan(size, (), (rank, rank + 1), tuple(steps))


def ring(rank: int, size: int) -> Plan:
    """An all_reduce as a reduce_scatter and an all_gather."""
    return _joined(ring_reduce_scatter(rank, size), ring_all_gather(rank, size))


def pairwise_reduce_scatter(rank: int, size: int) -> Plan:
    """Block b of all ranks goes straight to rank b, which adds them up in the order of ranks."""
    others = [(rank + i) % size for i in range(1, size)]
    sends = tuple(_block(peer, peer) for peer in others)
    comes = tuple(_block(peer, rank) for peer in sorted(others))
    sums = (Step(sends, comes),) if others else ()
    return Plan(size, sums, (rank, rank + 1), partial=False)


def pairwise_all_gather(rank: int, size: int) -> Plan:
    """Block b goes straight from rank b to all."""
    sends = tuple(_block((rank + i) % size, rank) for i in range(1, size))
    comes = tuple(_block(peer, peer) for peer in ((rank - i) % size for i in range(1, size)))
    return Plan(size, (), (rank, rank + 1), (Step(sends, comes),) if sends else ())


def pairwise(rank: int, size: int) -> Plan:
    """An all_reduce as a reduce_scatter and an all_gather."""
    return _joined(pairwise_reduce_scatter(rank, size), pairwise_all_gather(rank, size))


def doubling(rank: int, size: int) -> Plan:
    """An all_reduce in which partners, farther apart from step to step, exchange all they have."""
    inner, n_pairs = _folded(size)
    whole = (0, 1)
    if rank < 2 * n_pairs and rank % 2:
        return _outside(rank - 1, 1)
    steps = [Step((), (Move(rank + 1, *whole),))] if rank < 2 * n_pairs else []
    place = _place(rank, n_pairs)
    for distance in _powers(inner):
        partner = _rank_at(place ^ distance, n_pairs)
        steps.append(Step((Move(partner, *whole),), (Move(partner, *whole),)))
    results = (Step((Move(rank + 1, *whole),)),) if rank < 2 * n_pairs else ()
    return Plan(1, tuple(steps), whole, results)


def halving(rank: int, size: int) -> Plan:
    """An all_reduce in which partners exchange halves of halves, then results the same way back."""
    inner, n_pairs = _folded(size)
    whole = (0, inner)
    if rank < 2 * n_pairs and rank % 2:
        return _outside(rank - 1, inner)
    sums = [Step((), (Move(rank + 1, *whole),))] if rank < 2 * n_pairs else []
    results: list[Step] = []
    place, low, high = _place(rank, n_pairs), 0, inner
    for distance in reversed(_powers(inner)):
        partner, middle = _rank_at(place ^ distance, n_pairs), low + distance
        kept, given = (low, middle), (middle, high)
        if place & distance:
            kept, given = given, kept
        sums.append(Step((Move(partner, *given),), (Move(partner, *kept),)))
        results.insert(0, Step((Move(partner, *kept),), (Move(partner, *given),)))
        low, high = kept
    if rank < 2 * n_pairs:
        results.append(Step((Move(rank + 1, *whole),)))
    return Plan(inner, tuple(sums), (low, high), tuple(results))


def tree_reduce(rank: int, size: int, root: int) -> Plan:
    """Sums go up a binomial tree to `root`; ranks are counted from it."""
    place = (rank - root) % size
    sums = []
    for distance in _powers(size):
        if place & distance:
            sums.append(Step((Move((place - distance + root) % size, 0, 1),)))
            return Plan(1, tuple(sums))
        if place + distance < size:
            sums.append(Step((), (Move((place + distance + root) % size, 0, 1),)))
    return Plan(1, tuple(sums), (0, 1))


def tree_broadcast(rank: int, size: int, root: int) -> Plan:
    """The array goes down a binomial tree from `root`, farthest branches first."""
    place = (rank - root) % size
    steps = []
    for distance in reversed(_powers(size)):
        at = place % (2 * distance)
        if at == 0 and place + distance < size:
            steps.append(Step((Move((place + distance + root) % size, 0, 1),)))
        elif at == distance:
            steps.append(Step((), (Move((place - distance + root) % size, 0, 1),)))
    return Plan(1, (), (0, 1) if rank == root else (0, 0), tuple(steps))


def chain_reduce(rank: int, size: int, root: int) -> Plan:
    """Sums go round from the rank after `root` to `root`, each of which adds its own."""
    place = (rank - root - 1) % size
    sums = []
    if place > 0:
        sums.append(Step((), (Move((rank - 1) % size, 0, 1),)))
    if rank != root:
        sums.append(Step((Move((rank + 1) % size, 0, 1),)))
    return Plan(1, tuple(sums), (0, 1) if rank == root else (0, 0))


def chain_broadcast(rank: int, size: int, root: int) -> Plan:
    """The array goes round from `root` to the rank before it."""
    place = (rank - root) % size
    steps = []
    if place > 0:
        steps.append(Step((), (Move((rank - 1) % size, 0, 1),)))
    if place < size - 1:
        steps.append(Step((Move((rank + 1) % size, 0, 1),)))
    return Plan(1, (), (0, 1) if rank == root else (0, 0), tuple(steps))


PLANS: dict[tuple[str, Way], Callable[..., Plan]] = {
    ("all_reduce", Way.RING): ring,
    ("all_reduce", Way.PAIRWISE): pairwise,
    ("all_reduce", Way.HALVING): halving,
    ("all_reduce", Way.DOUBLING): doubling,
    ("reduce_scatter", Way.RING): ring_reduce_scatter,
    ("reduce_scatter", Way.PAIRWISE): pairwise_reduce_scatter,
    ("all_gather", Way.RING): ring_all_gather,
    ("all_gather", Way.PAIRWISE): pairwise_all_gather,
    ("reduce", Way.TREE): tree_reduce,
    ("reduce", Way.RING): chain_reduce,
    ("broadcast", Way.TREE): tree_broadcast,
    ("broadcast", Way.RING): chain_broadcast,
}


def plan_for(
    collective: str, nbytes: int, rank: int, size: int, root: int | None = None
) -> Plan | None:
    """This rank's plan of a collective of which the table takes `nbytes` by one; None if not."""
    way = choose(collective, nbytes, size, shared=False, apart=True)
    plan = PLANS.get((collective, way))
    if plan is None:
        return None
    return plan(rank, size) if root is None else plan(rank, size, root)


def _block(peer: int, block: int) -> Move:
    return Move(peer, block, block + 1)


def _joined(scatter: Plan, gather: Plan) -> Plan:
    return replace(scatter, results=gather.results)


@lru_cache
def _powers(below: int) -> Sequence[int]:
    """1, 2, 4 and so on, less than `below`."""
    return tuple(1 << i for i in range((below - 1).bit_length()))


def _folded(size: int) -> tuple[int, int]:
    """The greatest power of two of ranks, and how many of these act for their next neighbour too.

    Those neighbours, the odd ones at the front, stay outside.
    """
    inner = 1 << (size.bit_length() - 1)
    return inner, size - inner


def _outside(partner: int, n_blocks: int) -> Plan:
    whole = (Move(partner, 0, n_blocks),)
    return Plan(n_blocks, (Step(whole),), (0, 0), (Step((), whole),))


def _place(rank: int, n_pairs: int) -> int:
    return rank // 2 if rank < 2 * n_pairs else rank - n_pairs


def _rank_at(place: int, n_pairs: int) -> int:
    return 2 * place if place < n_pairs else place + n_pairs
