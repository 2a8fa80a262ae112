"""Ranks in step: random sequences of collectives on random groups, against plain NumPy."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm.errors import CollectiveTimeoutError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.transport.arena import Condition
from tests.comm.ranks import run_ranks
from tests.comm.sweep import sequences


@pytest.mark.parametrize(
    ("n_ranks", "hosts", "n_examples"), [(2, "", 60), (3, "", 40), (4, "", 20), (3, "aba", 20)]
)
def test_any_sequence_on_any_groups_equals_the_model(
    n_ranks: int, hosts: str, n_examples: int
) -> None:
    sequences.check(n_ranks, hosts, n_examples)


def test_who_has_come_and_left_is_not_missed() -> None:
    """Rank 2 comes and leaves just while rank 0, which waits for rank 1 as well, looks around."""
    flags = np.frombuffer(mmap.mmap(-1, 16), np.int64)

    def body(group: ProcessGroup) -> tuple[int, ...]:
        mesh = group._mesh
        group.barrier()
        if group.rank == 2:
            _yield_until(lambda: flags[0])
            mesh._flag[0] = mesh._step + 1
            group.close()
        if group.rank:
            _yield_until(lambda: flags[1])
            return ()
        ended = mesh._ended

        def meanwhile() -> set[int]:
            flags[0] = 1
            _yield_until(lambda: mesh.pages[2].condition()[0] is not Condition.ACTIVE)
            return ended()

        mesh._ended = meanwhile
        try:
            with pytest.raises(CollectiveTimeoutError) as caught:
                group.barrier(timeout_s=0.3)
        finally:
            flags[1] = 1
        return caught.value.ranks

    assert run_ranks(3, body)[0] == (1,)


def _yield_until(ready: Callable[[], object]) -> None:
    while not ready():
        os.sched_yield()
