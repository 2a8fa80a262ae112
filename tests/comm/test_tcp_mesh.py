"""Every collective over TCP on one host: the checks of shared memory, and faults of its own."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    PeerLostError,
)
from disttorch.comm.group import ProcessGroup
from disttorch.comm.transport import tcp
from disttorch.comm.transport.tcp import Kind
from tests.comm import calls, test_collectives
from tests.comm.collectives import test_all_to_all
from tests.comm.ranks import outcomes_of, run_ranks


@pytest.fixture(autouse=True)
def _over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTTORCH_TRANSPORT", "tcp")


CHECKS = [
    test_collectives.test_all_reduce,
    test_collectives.test_moving_data,
    test_collectives.test_reduce_and_reduce_scatter,
    test_collectives.test_objects,
    test_all_to_all.test_every_uneven_collective,
]


@pytest.mark.parametrize("n_ranks", [2, 3])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_as_over_shared_memory(check, n_ranks: int) -> None:
    check(n_ranks)


@pytest.mark.parametrize("n_ranks", [1, 5, 8])
def test_other_worlds(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        for size in (0, 1, 7, 50_001):
            array = np.arange(size, dtype=np.float32) * (group.rank + 0.1)
            group.all_reduce(array)
            seen.append(array.tobytes())
        outs = [np.empty(3) for _ in range(group.size)]
        group.all_to_all(outs, [np.full(3, 10.0 * group.rank + r) for r in range(group.size)])
        assert [out[0] for out in outs] == [10.0 * s + group.rank for s in range(group.size)]
        return seen

    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


def test_messages_groups_and_background_work_interleaved() -> None:
    def body(group: ProcessGroup) -> list[float]:
        assert type(group._mesh).__name__ == "TcpMesh"
        ends = group.new_group([0, 2])
        large = np.full(300_000, float(group.rank))
        right, left = (group.rank + 1) % 3, (group.rank - 1) % 3
        got = np.empty_like(large)
        receiving = group.irecv(got, left)
        work = group.all_reduce(total := np.ones(1000), async_op=True)
        sending = group.send(large, right, async_op=True)
        if ends is not None:
            ends.all_reduce(both := np.full(2, 1.0 + group.rank))
            assert both.tolist() == [4.0, 4.0]
            ends.close()
        for handle in (work, receiving, sending):
            handle.wait()
        assert group.all_gather_object({"rank": group.rank})[2] == {"rank": 2}
        memory = group.allocate(80).view(np.float64)
        memory[:] = group.rank
        group.all_reduce(memory)
        return [got[0], total[0], memory[9]]

    assert run_ranks(3, body) == [[2.0, 3.0, 3.0], [0.0, 3.0, 3.0], [1.0, 3.0, 3.0]]


def test_a_mismatch_is_a_table_on_all_ranks() -> None:
    def body(group: ProcessGroup) -> str:
        with pytest.raises(CollectiveMismatchError) as caught:
            group.all_reduce(np.ones(3 + group.rank))
        group.barrier()
        return str(caught.value)

    texts = run_ranks(3, body)
    assert len(set(texts)) == 1
    assert all(f"({n},)" in texts[0] for n in (3, 4, 5))


def test_a_rank_that_is_stopped_for_a_while_is_not_cut_off(monkeypatch) -> None:
    for name in ("_PROBE_AFTER_S", "_PROBE_EVERY_S", "_N_PROBES"):
        monkeypatch.setattr(tcp, name, 1)

    def body(group: ProcessGroup) -> float:
        pids = group.all_gather_object(os.getpid())
        group.barrier()
        # Longer than a peer whose kernel is silent would be waited for.
        waking = threading.Timer(3.0, os.kill, (pids[1], signal.SIGCONT))
        if group.rank == 0:
            os.kill(pids[1], signal.SIGSTOP)
            waking.start()
        group.all_reduce(total := np.ones(1), timeout_s=30.0)
        if group.rank == 0:
            # The stopped rank may have sent its part before: nobody else would wake it.
            waking.join()
        return total[0]

    assert run_ranks(2, body) == [2.0, 2.0]


DEATHS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exited": lambda: os._exit(0),
    "raised": calls.raise_uncaught,
}


@pytest.mark.parametrize("call", ["all_reduce large", "barrier", "recv", "all_gather_object"])
@pytest.mark.parametrize("death", DEATHS)
def test_a_lost_peer_is_noticed_within_a_second(death: str, call: str) -> None:
    def body(group: ProcessGroup) -> tuple[tuple[int, ...], float]:
        # What a rank has queued dies with it, so the others tell it when all has come.
        if group.rank == 1:
            group.recv(np.empty(1), 0)
            DEATHS[death]()
        group.send(np.ones(1), 1)
        started_s = time.monotonic()
        with pytest.raises(PeerLostError) as caught:
            calls.CALLS[call](group)
        return caught.value.ranks, time.monotonic() - started_s

    survivor = outcomes_of(2, body)[0]
    assert survivor.error is None, survivor.trace
    ranks, seconds = survivor.result
    assert ranks == (1,) and seconds < 1.0


def test_a_stopped_peer_is_named_at_the_deadline() -> None:
    def body(group: ProcessGroup) -> tuple[int, ...]:
        if group.rank == 1:
            group.recv(np.empty(1), 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        group.send(np.ones(1), 1)
        late = r"timed out after 0\.5 s: rank 1"
        with pytest.raises(CollectiveTimeoutError, match=late) as caught:
            group.barrier(timeout_s=0.5)
        return caught.value.ranks

    def unstop(group: ProcessGroup) -> tuple[int, ...]:
        if group.rank == 0:
            pids = group.all_gather_object(os.getpid())
            try:
                return body(group)
            finally:
                os.kill(pids[1], signal.SIGKILL)
        group.all_gather_object(os.getpid())
        return body(group)

    survivor = outcomes_of(2, unstop)[0]
    assert survivor.error is None, survivor.trace
    assert survivor.result == (1,)


# What a fault does to the frames of a step of rank 1, counted from the third.
FAULTS = {
    "lost": lambda frames: None,
    "truncated": lambda frames: frames[:1],
    "too long": lambda frames: [*frames[:2], bytes(1_100_000)],
    "an offset outside": lambda frames: [frames[0], b"\xff" * len(frames[1]), *frames[2:]],
    "a cut header": lambda frames: [bytes(frames[0])[:100], *frames[1:]],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_steps_end_in_an_error_that_names_the_rank(fault: str) -> None:
    def body(group: ProcessGroup) -> tuple[tuple[int, ...], int]:
        group.barrier()
        wire = group._mesh.wire
        if group.rank == 1:
            send = wire.send

            def damaged(peer, kind, frames, argument=0):
                changed = FAULTS[fault](frames) if kind is Kind.STEP else frames
                if changed is not None:
                    send(peer, kind, changed, argument)

            wire.send = damaged
            # To this rank comes all that it waits for.
            group.all_reduce(np.ones(5))
            return (), 0
        with pytest.raises((CollectiveTimeoutError, PeerLostError)) as caught:
            group.all_reduce(np.ones(5), timeout_s=0.5)
        # That rank 1 leaves is its last message, so all others have come before.
        end_s = time.monotonic() + 20
        while not group._mesh.reports([1], set())[0].lost and time.monotonic() < end_s:
            group._mesh.pump()
        return caught.value.ranks, wire.dropped

    (ranks, dropped), _ = run_ranks(2, body)
    assert ranks == (1,)
    assert dropped == (0 if fault == "lost" else 1)


@pytest.mark.parametrize("fault", ["duplicated", "delayed"])
def test_what_can_be_mended_is(fault: str) -> None:
    def body(group: ProcessGroup) -> tuple[float, int]:
        wire = group._mesh.wire
        if group.rank == 1:
            send = wire.send

            def odd(peer, kind, frames, argument=0):
                if fault == "delayed":
                    time.sleep(0.02)
                else:
                    send(peer, kind, frames, argument)
                send(peer, kind, frames, argument)

            wire.send = odd
        array = np.ones(1000)
        for _ in range(3):
            group.all_reduce(array)
        return float(array[0]), wire.dropped

    zero, one = run_ranks(2, body)
    assert zero[0] == one[0] == 8.0
    # A step that comes again is not the next one.
    assert zero[1] == (2 if fault == "duplicated" else 0) or zero[1] == 3


def test_what_was_sent_comes_although_its_sender_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more than a connection holds, to a rank that comes late: a send waits for room."""
    monkeypatch.setattr(tcp, "_LINGER_MS", 20)

    def body(group: ProcessGroup) -> float:
        array = np.full(8_000_000, 1.0 + group.rank)
        if group.rank == 0:
            group.send(array, 1)
            # It cannot have ended before the other one took most of it.
            return group._mesh.own.sent(1)[0] - group._mesh.pages[1].received(0)[0]
        group._mesh.wait_for(
            lambda: group._mesh._streams[0].n_came >= 1 << 20, Deadline.after(20), lambda: [0], ""
        )
        group.recv(array, 0)
        return array[-1]

    unread, got = run_ranks(2, body)
    assert unread <= 4 << 20
    assert got == 1.0


def test_receives_wait_in_the_background_of_collectives() -> None:
    def body(group: ProcessGroup) -> list[float]:
        peer, got = 1 - group.rank, np.zeros(4)
        for i in range(10):
            receiving = group.irecv(got, peer)
            for _ in range(50):
                group.all_reduce(np.ones(100))
            group.send(np.full(4, float(i)), peer)
            receiving.wait()
            assert got[0] == i
        return got.tolist()

    assert run_ranks(2, body) == [[9.0] * 4] * 2
