"""Every plan on real ranks over TCP, against NumPy: whatever the table would choose."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from disttorch.comm.algorithms import choice, paired, plans
from disttorch.comm.algorithms.choice import Way
from disttorch.comm.errors import CollectiveMismatchError, CollectiveTimeoutError, PeerLostError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.comm.transport.tcp import Kind
from tests.comm.ranks import outcomes_of, run_ranks
from tests.comm.test_collectives import BFLOAT16, check_close, reduced, values

F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
# The last has several pieces in a block.
SIZES = (0, 1, 65, 1001, 300_007)
REDUCTIONS = [
    *itertools.product((ReduceOp.SUM, ReduceOp.AVG), (F32, BFLOAT16, I64), SIZES),
    (ReduceOp.MAX, BFLOAT16, 1001),
    (ReduceOp.PRODUCT, np.dtype(np.complex64), 1001),
    (ReduceOp.BXOR, np.dtype(np.bool_), 1001),
]


@pytest.fixture(autouse=True)
def _over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")


@contextmanager
def forced(collective: str, way: Way) -> Iterator[None]:
    """Let the table choose nothing but `way`, in this process."""
    rows = choice.APART[collective]
    choice.APART[collective] = ((100, ((1 << 60, way),)),)
    try:
        yield
    finally:
        choice.APART[collective] = rows


def ways(collective: str) -> list[Way]:
    return [way for name, way in plans.PLANS if name == collective]


@pytest.mark.parametrize("n_ranks", [2, 3, 5])
def test_all_reduce(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        for way, (i, (op, dtype, size)) in itertools.product(ways("all_reduce"), table):
            array = values(group.rank, size, dtype).copy()
            with forced("all_reduce", way):
                group.all_reduce(array, op)
            seen.append(array.tobytes())
            if i % n_ranks == group.rank:
                wanted = reduced(op, [values(r, size, dtype) for r in range(n_ranks)])
                check_close(array, wanted, (way, op, dtype, size))
        return seen

    table = list(enumerate(REDUCTIONS))[:: n_ranks - 1]
    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


def test_the_bits_are_those_of_rank_order_or_the_same_in_every_run() -> None:
    def body(group: ProcessGroup) -> dict[Way, set[bytes]]:
        seen: dict[Way, set[bytes]] = {}
        for way, run in itertools.product((Way.DIRECT, *ways("all_reduce")), range(6)):
            array = values(group.rank, 70_001, F32).copy()
            with forced("all_reduce", way):
                group.all_reduce(array, PremulSum(0.3) if run % 2 else ReduceOp.SUM)
            seen.setdefault(way, set()).add(array.tobytes())
        return seen

    for n_ranks in (2, 4):
        first, *others = run_ranks(n_ranks, body)
        assert all(other == first for other in others)
        assert all(len(bits) == 2 for bits in first.values())
        in_order = [way for way, bits in first.items() if bits == first[Way.DIRECT]]
        # Of four ranks, pairs and rings add in another order.
        assert in_order == (list(first) if n_ranks == 2 else [Way.DIRECT, Way.PAIRWISE])


@pytest.mark.parametrize("n_ranks", [2, 3, 5])
def test_reduce_and_reduce_scatter(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        rank = group.rank
        for i, (op, dtype, size) in table:
            rows = [[values(r * 10 + p, size, dtype) for p in range(n_ranks)]
                    for r in range(n_ranks)]  # fmt: skip
            wanted = reduced(op, [row[rank] for row in rows])
            for way in ways("reduce_scatter"):
                out, given = np.zeros(size, dtype), [row.copy() for row in rows[rank]]
                with forced("reduce_scatter", way):
                    group.reduce_scatter(out, given, op)
                check_close(out, wanted, (way, op, dtype, size))
                assert all(np.array_equal(a, b) for a, b in zip(given, rows[rank], strict=True))
            for way in ways("reduce"):
                array, root = rows[rank][0].copy(), i % n_ranks
                with forced("reduce", way):
                    group.reduce(array, root, op)
                whole = reduced(op, [row[0] for row in rows])
                check_close(array, whole if rank == root else rows[rank][0], (way, op, dtype))

    table = list(enumerate(REDUCTIONS))[:: n_ranks - 1]
    run_ranks(n_ranks, body)


@pytest.mark.parametrize("n_ranks", [2, 3, 5])
def test_moves(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        dtypes = [np.dtype(name) for name in ("u1", "f4", "M8[s]", "c16")] + [BFLOAT16]
        table = itertools.product(dtypes, SIZES[:: n_ranks - 1])
        for i, (dtype, size) in enumerate(table):
            held = [(np.arange(size) % 50 + r).astype(dtype) for r in range(n_ranks)]
            for way in ways("broadcast"):
                array, root = held[group.rank].copy(), i % n_ranks
                with forced("broadcast", way):
                    group.broadcast(array, root)
                assert array.tobytes() == held[root].tobytes()
            for way in ways("all_gather"):
                whole = np.zeros((n_ranks, size), dtype)
                with forced("all_gather", way):
                    group.all_gather_into(whole, held[group.rank])
                    uneven = [np.zeros(size + 70 * r, dtype) for r in range(n_ranks)]
                    own = np.ones(uneven[group.rank].size, dtype)
                    group.all_gather(uneven, own)
                assert whole.tobytes() == b"".join(array.tobytes() for array in held)
                assert all((array == np.ones(1, dtype)).all() for array in uneven)

    run_ranks(n_ranks, body)


def test_arrays_may_be_written_as_soon_as_a_call_returns() -> None:
    def body(group: ProcessGroup) -> None:
        for way, k in itertools.product(ways("all_reduce"), range(8)):
            array = np.full(400_000, float(group.rank + k))
            with forced("all_reduce", way):
                group.all_reduce(array)
            assert array[0] == array[-1] == 3 + 3 * k
            array.fill(np.nan)

    run_ranks(3, body)


def test_what_ranks_disagree_on_is_a_table_and_the_group_goes_on() -> None:
    def body(group: ProcessGroup) -> str:
        with pytest.raises(CollectiveMismatchError) as caught:
            group.all_reduce(np.ones(300_000 + group.rank))
        group.all_reduce(array := np.ones(300_000))
        assert array[-1] == 3
        return str(caught.value)

    texts = run_ranks(3, body)
    assert len(set(texts)) == 1 and "(300002,)" in texts[0]


@pytest.mark.parametrize("way", [Way.RING, Way.HALVING])
def test_a_rank_that_dies_amid_its_pieces_is_named(way: Way) -> None:
    def body(group: ProcessGroup) -> str:
        array = np.ones(2_000_000)
        with forced("all_reduce", way):
            group.all_reduce(array)
            if group.rank == 1:
                group._mesh.take = lambda *_: os._exit(3)
            with pytest.raises(PeerLostError) as caught:
                group.all_reduce(array)
        return str(caught.value)

    outcomes = outcomes_of(4, body)
    assert outcomes[1].result is None
    # By who waits for it, and by whoever waits for those in turn.
    assert all("rank 1" in outcomes[rank].result for rank in (0, 2, 3)), outcomes


@pytest.mark.parametrize("fault", ["lost", "truncated"])
def test_a_damaged_piece_ends_in_an_error_that_names_the_rank(fault: str) -> None:
    def body(group: ProcessGroup) -> tuple[tuple[int, ...], int]:
        group.barrier()
        wire = group._mesh.wire
        if group.rank == 1:
            send = wire.send

            def damaged(peer, kind, frames, argument=0):
                if kind is not Kind.PIECE:
                    send(peer, kind, frames, argument)
                elif fault == "truncated":
                    send(peer, kind, [frames[0][:-1]], argument)

            wire.send = damaged
        with (
            forced("all_reduce", Way.RING),
            pytest.raises((CollectiveTimeoutError, PeerLostError)) as caught,
        ):
            group.all_reduce(np.ones(100_000), timeout_s=0.5)
        return caught.value.ranks, wire.dropped

    (ranks, dropped), _ = run_ranks(2, body)
    assert ranks == (1,)
    assert dropped == 0 if fault == "lost" else dropped > 0


def test_nothing_is_planned_for_ranks_that_share_memory() -> None:
    with ProcessGroup.single() as group:
        assert paired.way(group._mesh, "all_reduce", 1 << 30) is None
