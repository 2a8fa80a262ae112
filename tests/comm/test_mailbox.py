"""Messages: matched by tag and kind, in order, of any size, in both directions at once."""

from __future__ import annotations

import os
import signal
import time

import ml_dtypes
import numpy as np
import pytest

from disttorch.comm.errors import CollectiveMismatchError, GroupUnusableError
from disttorch.comm.group import ProcessGroup
from tests.comm.ranks import outcomes_of, run_ranks

LARGE = 1_000_000
SMALL = np.zeros(3)


def test_a_message_outlives_its_sender() -> None:
    def body(group: ProcessGroup) -> float:
        array = np.arange(1000.0)
        if group.rank == 1:
            group.send(array, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        while not group._link.watch.ended():
            time.sleep(0.001)
        group.recv(array[::-1], 1)
        return float(array[0])

    assert outcomes_of(2, body)[0].result == 999.0


def test_a_message_of_the_wrong_kind_is_refused_by_its_receiver() -> None:
    def body(group: ProcessGroup) -> None:
        if group.rank == 0:
            for array in (np.zeros(4), np.zeros(3, "i8"), np.zeros(100_000), np.ones(3)):
                group.send(array, 1)
            return
        for words in (r"sent float64 \(4,\)", "sent int64", r"sent float64 \(100000,\)"):
            with pytest.raises(CollectiveMismatchError, match=words):
                group.recv(SMALL, 0)
        group.recv(SMALL, 0)
        assert SMALL.sum() == 3

    run_ranks(2, body)


def test_messages_keep_their_order_within_a_tag_and_wait_for_their_tag() -> None:
    def body(group: ProcessGroup) -> None:
        if group.rank == 0:
            for tag, value in ((7, 1), (8, 2), (7, 3), (9, 4)):
                group.send(np.full(50_000, value), 1, tag)
            return
        array = np.zeros(50_000, int)
        for tag, value in ((9, 4), (8, 2), (7, 1), (7, 3)):
            assert group.recv(array, None if tag == 8 else 0, tag) == 0
            assert (array == value).all()

    run_ranks(2, body)


def test_ranks_may_send_to_each_other_at_once() -> None:
    def body(group: ProcessGroup) -> None:
        peers = [peer for peer in range(group.size) if peer != group.rank]
        outgoing = np.full(LARGE, group.rank, np.int32)
        incoming = {peer: np.empty_like(outgoing) for peer in peers}
        works = [group.irecv(incoming[peer], peer) for peer in peers]
        for peer in peers:
            group.send(outgoing, peer)
        works += [group.send(outgoing, peer, tag=1, async_op=True) for peer in peers]
        for peer in peers:
            group.recv(outgoing.copy(), peer, tag=1)
        for work in works:
            assert work.wait(30.0)
        for peer in peers:
            assert (incoming[peer] == peer).all()

    run_ranks(3, body)


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3b11fnuz, [("a", "i4"), ("b", "f8")]])
def test_the_name_of_a_dtype_may_be_long(dtype) -> None:
    def body(group: ProcessGroup) -> None:
        array = np.zeros(4, dtype)
        if group.rank == 0:
            group.send(array.view(np.uint8) + 3, 1)
            group.send((array.view(np.uint8) + 3).view(dtype), 1)
            return
        with pytest.raises(CollectiveMismatchError, match="sent uint8"):
            group.recv(array, 0)
        group.recv(array, 0)
        assert (array.view(np.uint8) == 3).all()

    run_ranks(2, body)


def test_closing_ends_receives_in_the_background() -> None:
    def body(group: ProcessGroup) -> str:
        works = [group.irecv(np.zeros(3), 1 - group.rank, tag) for tag in range(2)]
        group.close()
        group.close()
        for work in works:
            with pytest.raises(GroupUnusableError, match="ended by close"):
                work.wait(10.0)
        with pytest.raises(GroupUnusableError, match="closed by this rank") as caught:
            group.barrier()
        return str(caught.value)

    run_ranks(2, body)


def test_an_exit_amid_a_receive_breaks_the_group() -> None:
    """As with `signal.signal(SIGTERM, lambda *_: sys.exit())`: bytes may be half taken."""

    def leave(*_: object) -> None:
        raise SystemExit(3)

    def body(group: ProcessGroup) -> None:
        if group.rank == 1:
            group.recv(np.zeros(1), 0)
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(SystemExit):
            group.recv(np.zeros(3), 1)
        with pytest.raises(GroupUnusableError, match="broken by an earlier error: SystemExit: 3"):
            group.send(np.zeros(3), 1)

    outcomes = outcomes_of(2, body)
    assert outcomes[0].error is None, outcomes[0].trace
    assert "gave up: SystemExit: 3" in str(outcomes[1].error)
