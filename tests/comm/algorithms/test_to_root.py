"""What one rank is to have goes to no other, by whatever collective."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.comm.algorithms import choice
from disttorch.comm.errors import CollectiveMismatchError
from disttorch.comm.group import ProcessGroup
from tests.comm.ranks import run_ranks


def counting(group: ProcessGroup) -> list[int]:
    """How many bytes of data this rank sends to each other, from now on."""
    wire, sent = group._mesh.wire, [0] * group.size
    send = wire.send

    def counted(peer, kind, frames, argument=0):
        sent[peer] += sum(memoryview(frame).nbytes for frame in frames)
        send(peer, kind, frames, argument)

    wire.send = counted
    return sent


def test_only_the_root_is_sent_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")
    monkeypatch.setitem(choice.APART, "reduce", ((3, ((1 << 60, choice.Way.STAGED),)),))
    array = np.ones(400_000)

    def body(group: ProcessGroup) -> list[int]:
        sent = counting(group)
        group.reduce(into := array * (1 + group.rank), 1)
        assert into[0] == into[-1] == (6 if group.rank == 1 else 1 + group.rank)
        outs = [np.zeros_like(array) for _ in range(group.size)]
        group.gather(into, outs if group.rank == 1 else None, root=1)
        assert group.rank != 1 or [out[-1] for out in outs] == [1, 6, 3]
        objects = group.gather_object(array, root=1)
        assert group.rank != 1 or all(np.array_equal(each, array) for each in objects)
        return sent

    few = 100_000
    rows = np.array(run_ranks(3, body))
    assert (rows[:, [0, 2]] < few).all(), rows
    assert (rows[[0, 2], 1] > 3 * array.nbytes).all()


N = 90_000  # float64 elements, of each of three ranks in the calls that have pieces
PIECES = [np.full(N, r + 1.0) for r in range(3)]
# The call, and what it sends from each rank (row) to each (column), in arrays of N elements.
TO_ALL, NOTHING = [1, 1, 1], [0, 0, 0]
TRAFFIC = {
    "broadcast": (lambda g: g.broadcast(PIECES[g.rank].copy(), 1), [NOTHING, TO_ALL, NOTHING]),
    "scatter": (
        lambda g: g.scatter(np.zeros(N), PIECES if g.rank == 1 else None, 1),
        [NOTHING, TO_ALL, NOTHING],
    ),
    "all_to_all": (lambda g: g.all_to_all([np.zeros(N) for _ in PIECES], PIECES), [TO_ALL] * 3),
    # Slices of a third, there and back.
    "all_reduce": (lambda g: g.all_reduce(PIECES[g.rank].copy()), [[2 / 3] * 3] * 3),
    # The bytes of a smaller object are not followed by what is left in the stage.
    "all_gather_object": (
        lambda g: g.all_gather_object(PIECES[0] if g.rank == 1 else None),
        [NOTHING, TO_ALL, NOTHING],
    ),
}


@pytest.mark.parametrize("name", TRAFFIC)
def test_what_each_is_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")
    call, expected = TRAFFIC[name]
    scattered = ((3, ((1 << 60, choice.Way.SCATTERED),)),)
    monkeypatch.setitem(choice.APART, "all_reduce", scattered)

    def body(group: ProcessGroup) -> list[int]:
        sent = counting(group)
        call(group)
        return sent

    arrays = np.array(run_ranks(3, body)) / (8 * N)
    others = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(arrays[others], np.array(expected)[others], atol=0.03)


CALLS = {
    "scatter": lambda g, root: g.scatter(
        np.zeros(0), [np.zeros(0)] * 2 if g.rank == root else None, root
    ),
    "reduce": lambda g, root: g.reduce(np.zeros(0), root),
    "gather": lambda g, root: g.gather(
        np.zeros(0), [np.zeros(0)] * 2 if g.rank == root else None, root
    ),
    "broadcast": lambda g, root: g.broadcast(np.zeros(0), root),
}


@pytest.mark.parametrize("name", CALLS)
def test_ranks_that_disagree_on_the_root_of_nothing_are_told(name: str) -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(CollectiveMismatchError, match="The root differs"):
            CALLS[name](group, group.rank)
        group.barrier()

    run_ranks(2, body)
