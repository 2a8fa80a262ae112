"""Ways of several hosts, on hosts that are pretended, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.comm.algorithms import between_hosts, hierarchical
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from tests.comm import ranks
from tests.comm.algorithms import host_ways
from tests.comm.algorithms.host_ways import F32, I64, deadline
from tests.comm.ranks import run_ranks
from tests.comm.test_collectives import BFLOAT16, values


@pytest.mark.parametrize(("hosts", "every"), [("aab", 4), ("aba", 7), ("abaab", 9)])
def test_every_way(hosts: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_ways, "every", every)
    host_ways.check(hosts)


def test_bits_are_the_same_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", "aabb")

    def body(group: ProcessGroup) -> set[bytes]:
        seen = set()
        for _ in range(10):
            array = values(group.rank, 50_001, F32).copy()
            stages = stages_of(ReduceOp.AVG, F32, 4)
            hierarchical.all_reduce(group._mesh, array, stages, deadline())
            seen.add(array.tobytes())
        return seen

    results = run_ranks(4, body)
    assert len(set().union(*results)) == 1


@pytest.mark.parametrize("hosts", ["aaabc"])
def test_what_leaves_a_host(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 n (H - 1) / H bytes of an all_reduce, n (H - 1) of a broadcast, however many ranks."""
    monkeypatch.setattr(ranks, "hosts", hosts)
    n_hosts, array = len(set(hosts)), np.ones(1 << 20, np.float32)

    def body(group: ProcessGroup) -> list[int]:
        wire, sent = group._mesh.wire, []
        send = wire.send

        def counted(peer, kind, frames, argument=0):
            sent.append(sum(memoryview(frame).nbytes for frame in frames))
            send(peer, kind, frames, argument)

        wire.send = counted
        stages = stages_of(ReduceOp.SUM, F32, group._mesh.size)
        hierarchical.all_reduce(group._mesh, array, stages, deadline())
        between = [sum(sent)]
        sent.clear()
        between_hosts.broadcast(group._mesh, array, 0, deadline())
        return [*between, sum(sent)]

    results = run_ranks(len(hosts), body)
    for host in set(hosts):
        of_host = [result for result, at in zip(results, hosts, strict=True) if at == host]
        ideal = 2 * array.nbytes * (n_hosts - 1) / n_hosts
        assert 0.9 * ideal < sum(reduced for reduced, _ in of_host) < 1.1 * ideal
        moved = sum(moved for _, moved in of_host)
        assert moved < 1e5 or (host == hosts[0] and moved < 1.02 * array.nbytes * (n_hosts - 1))


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16, F32, I64], ids=str)
def test_a_factor_comes_last_and_halves_are_rounded_once(dtype: np.dtype) -> None:
    hosts = [[values(r, 1000, dtype) for r in ranks] for ranks in ((0, 1), (2, 3, 4))]
    for op in (PremulSum(0.5), ReduceOp.AVG, ReduceOp.SUM):
        stages = stages_of(op, dtype, 5)
        sums = [np.empty(1000, stages.between) for _ in hosts]
        for out, parts in zip(sums, hosts, strict=True):
            stages.first(out, parts)
        got = np.empty(1000, dtype)
        stages.second(got, sums)
        exact = np.sum([v.astype(np.float64) for parts in hosts for v in parts], axis=0)
        exact *= {PremulSum(0.5): 0.5, ReduceOp.AVG: 0.2, ReduceOp.SUM: 1}[op]
        if dtype is I64:
            np.testing.assert_array_equal(got, np.trunc(exact + 1e-9))
        else:
            # float32 sums of such values are exact to far less than half a step of 16 bits.
            wanted = exact.astype(dtype).astype(np.float64)
            assert np.mean(got.astype(np.float64) == wanted) > (
                0.99 if dtype.itemsize == 2 else 0.3
            )
