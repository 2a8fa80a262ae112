"""What one rank is to have goes to no other."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.comm.algorithms import choice
from disttorch.comm.group import ProcessGroup
from tests.comm.ranks import run_ranks


def test_only_the_root_is_sent_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")
    monkeypatch.setitem(choice.APART, "reduce", ((3, ((1 << 60, choice.Way.STAGED),)),))
    array = np.ones(400_000)

    def body(group: ProcessGroup) -> list[list[int]]:
        wire, sent = group._mesh.wire, [0] * group.size
        send = wire.send

        def counted(peer, kind, frames, argument=0):
            sent[peer] += sum(memoryview(frame).nbytes for frame in frames)
            send(peer, kind, frames, argument)

        wire.send = counted
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
