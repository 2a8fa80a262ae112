"""Jobs that start and stop many times, and side by side."""

import tempfile

import numpy as np
import pytest

from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import FileStore
from tests.comm.ranks import run_ranks
from tests.fault import comm_cycles

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("transport", ["shared memory", "tcp"])
def test_cycles_leave_nothing(transport, public, monkeypatch):
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp" if transport == "tcp" else "")
    comm_cycles.check(25, public=public)


def test_two_jobs_side_by_side():
    with tempfile.TemporaryDirectory() as folder:

        def body(outer):
            job, rank = divmod(outer.rank, 2)
            store = FileStore(f"{folder}/{job}")
            with ProcessGroup.from_env(RankEnv(rank, 2), store, 60.0) as group:
                array = np.full(100_000, float(outer.rank))
                for _ in range(10):
                    group.all_reduce(array)
                return array[0] / 2**9

        assert run_ranks(4, body) == [1.0, 1.0, 5.0, 5.0]
