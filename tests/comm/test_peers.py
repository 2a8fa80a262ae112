"""Ranks that take themselves to be on several hosts: shared memory within one, TCP between them."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import numpy as np
import pytest

from disttorch.comm.algorithms import between_hosts, hierarchical
from disttorch.comm.errors import CollectiveTimeoutError, PeerLostError
from disttorch.comm.group import ProcessGroup
from tests.comm import calls, ranks, test_collectives
from tests.comm.collectives import test_all_to_all
from tests.comm.ranks import outcomes_of, run_ranks

CHECKS = [
    test_collectives.test_all_reduce,
    test_collectives.test_moving_data,
    test_collectives.test_reduce_and_reduce_scatter,
    test_collectives.test_objects,
    test_all_to_all.test_every_uneven_collective,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_as_on_one_host(check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth of the table, as each step is slow; the whole of it is run over TCP alone."""
    cases = test_collectives.cases
    monkeypatch.setattr(ranks, "hosts", "aab")
    monkeypatch.setattr(test_collectives, "LARGE", 200_003)
    monkeypatch.setattr(test_collectives, "SIZES", (0, 1001))
    monkeypatch.setattr(test_collectives, "DTYPES", test_collectives.DTYPES[::6])
    monkeypatch.setattr(test_collectives, "cases", lambda *a, **kw: cases(*a, **kw)[::6])
    check(3)


def test_each_pair_has_its_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", "abab")

    def body(group: ProcessGroup) -> tuple[list[int], list[int]]:
        mesh = group._mesh
        assert mesh.hosts == ((0, 2), (1, 3)) and not mesh.shared
        partner = group.rank ^ 2
        # What the other one on this host writes is seen here without a word from it.
        mesh.own.stage_bytes_of(0)[-1] = 100 + group.rank
        group.barrier()
        assert mesh.pages[partner].stage_bytes_of(0)[-1] == 100 + partner
        assert mesh.pages[group.rank ^ 1].stage_bytes_of(0)[-1] == 0
        watched = sorted(mesh.watch._rank_of_fd.values())
        group.barrier()
        return watched, sorted(mesh.wire._outboxes)

    assert run_ranks(4, body) == [([2], [1, 3]), ([3], [0, 2]), ([0], [1, 3]), ([1], [0, 2])]


def test_groups_within_hosts_and_across(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", "aabb")

    def body(group: ProcessGroup) -> list[object]:
        seen: list[object] = []
        for members in ([0, 1], [2, 3], [0, 2], [3, 1, 0]):
            part = group.new_group(members)
            if part is None:
                continue
            array = np.full(50_001, 1.0 + group.rank)
            part.all_reduce(array)
            large = np.full(200_000, float(group.rank))
            got = np.empty_like(large)
            receiving = part.irecv(got, (part.rank - 1) % part.size)
            part.send(large, (part.rank + 1) % part.size)
            receiving.wait()
            assert got[-1] == members[(part.rank - 1) % part.size]
            memory = part.allocate(80_000).view(np.float64)
            memory[:] = group.rank
            part.all_reduce(memory)
            seen.append((type(part._mesh).__name__, array[-1], memory[-1]))
            part.close()
        return seen

    near, far = "SharedMesh", "TcpMesh"
    assert run_ranks(4, body) == [
        [(near, 3.0, 1.0), (far, 4.0, 2.0), (far, 7.0, 4.0)],
        [(near, 3.0, 1.0), (far, 7.0, 4.0)],
        [(near, 7.0, 5.0), (far, 4.0, 2.0)],
        [(near, 7.0, 5.0), (far, 7.0, 4.0)],
    ]


DEATHS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exited": lambda: os._exit(0),
    "raised": calls.raise_uncaught,
}


@pytest.mark.parametrize(
    ("death", "call"),
    [("killed", "all_reduce large"), ("exited", "recv"), ("raised", "all_gather_object")],
)
def test_all_hosts_notice_a_death_within_a_second(
    death: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "hosts", "abb")

    def body(group: ProcessGroup) -> tuple[tuple[int, ...], float]:
        group.barrier()
        if group.rank == 1:
            group.recv(np.empty(1), 0)
            group.recv(np.empty(1), 2)
            DEATHS[death]()
        group.send(np.ones(1), 1)
        started_s = time.monotonic()
        with pytest.raises(PeerLostError) as caught:
            calls.CALLS[call](group)
        return caught.value.ranks, time.monotonic() - started_s

    outcomes = outcomes_of(3, body)
    for rank in (0, 2):
        assert outcomes[rank].error is None, outcomes[rank].trace
        lost, seconds = outcomes[rank].result
        # Who hears of it first gives up, and the other may hear that before its own look.
        assert set(lost) <= {1, 2 - rank} and seconds < 1.0


def test_a_stopped_rank_is_named_on_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", "abb")

    def body(group: ProcessGroup) -> str:
        pids = group.all_gather_object(os.getpid())
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        with pytest.raises((CollectiveTimeoutError, PeerLostError)) as caught:
            group.barrier(timeout_s=0.5)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[1], signal.SIGKILL)
        return str(caught.value)

    outcomes = outcomes_of(3, body)
    texts = [outcomes[rank].result or outcomes[rank].trace for rank in (0, 2)]
    # The second to time out may first hear that the other one has.
    assert all("rank 1" in text and "timed out after 0.5 s" in text for text in texts), texts


def test_large_arrays_take_the_way_of_several_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = "aba"
    monkeypatch.setattr(ranks, "hosts", hosts)

    def body(group: ProcessGroup) -> list[str]:
        taken: list[str] = []
        for module, name in (
            (hierarchical, "all_reduce"),
            (hierarchical, "reduce_scatter"),
            (between_hosts, "broadcast"),
            (between_hosts, "gather"),
        ):
            way = getattr(module, name)
            setattr(module, name, lambda *a, w=way, n=name: (taken.append(n), w(*a)))
        for size in (5, 270_001):
            array = np.full(size, 1.0 + group.rank)
            group.all_reduce(array)
            assert (array == sum(range(1, group.size + 1))).all()
            out = np.zeros(size)
            group.reduce_scatter(out, [np.full(size, float(r)) for r in range(group.size)])
            assert (out == group.rank * group.size).all()
            group.broadcast(array, 1)
            outs = [np.zeros(size) for _ in range(group.size)]
            group.all_gather(outs, np.full(size, float(group.rank)))
            assert [int(o[-1]) for o in outs] == list(range(group.size))
            group.gather(array, outs if group.rank == 0 else None)
            assert group.rank or outs[1][-1] == array[-1]
        return taken

    names = ["all_reduce", "reduce_scatter", "broadcast", "gather"]
    assert run_ranks(len(hosts), body) == [names] * len(hosts)
