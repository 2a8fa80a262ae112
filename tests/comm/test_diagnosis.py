"""A rank of a group dies, leaves or gives up: the others are told who and how, and at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm import lifecycle, mesh
from disttorch.comm.deadline import Deadline
from disttorch.comm.diagnosis import PeerReport, late_text
from disttorch.comm.errors import (
    GroupUnusableError,
    PeerLostError,
)
from disttorch.comm.group import ProcessGroup
from disttorch.comm.transport.arena import Condition
from tests.comm.calls import CALLS, LARGE, SMALL, lost_after, raise_uncaught
from tests.comm.ranks import outcomes_of, run_ranks


def return_from_script() -> None:
    lifecycle._at_exit()
    os._exit(0)


DEATHS: dict[str, tuple[Callable[[], None], str]] = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "died (killed or crashed)"),
    "exit 0": (return_from_script, "exited without joining"),
    "_exit": (lambda: os._exit(0), "died (killed or crashed)"),
    "raised": (raise_uncaught, "raised ValueError: bad sample"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_dead_peer_ends_every_wait(name: str) -> None:
    def body(group: ProcessGroup) -> tuple[str, tuple[int, ...], float] | None:
        group.barrier()
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        lost = lost_after(lambda: CALLS[name](group))
        with pytest.raises(GroupUnusableError, match="broken by an earlier error: PeerLostError"):
            group.barrier()
        return lost

    survivor, victim = outcomes_of(2, body)
    assert victim.status == -signal.SIGKILL
    assert survivor.error is None, survivor.trace
    message, ranks, seconds = survivor.result
    assert seconds < 1.0
    assert ranks == (1,)
    assert "calls.py:" in message
    assert "rank 1 (pid" in message
    assert "its last collective being barrier #1 at" in message


ENDS: dict[str, Callable[[ProcessGroup], None]] = {
    "close": lambda group: group.close(),
    "exit": lambda group: lifecycle._at_exit(),
}


@pytest.mark.parametrize("end", ENDS)
def test_messages_that_were_not_waited_for_arrive(end: str) -> None:
    def body(group: ProcessGroup) -> str | float:
        if group.rank == 0:
            group.send(np.full(LARGE, 7.0), 1, async_op=True)
            with pytest.warns(UserWarning) as warned:
                ENDS[end](group)
            return str(warned[0].message)
        got = np.zeros(LARGE)
        group.recv(got, 0)
        return float(got.min())

    warning, got = run_ranks(2, body)
    assert got == 7.0
    assert warning.startswith("send to rank 1 at ")
    assert warning.endswith("was never waited for: it was delivered late")


def test_a_message_to_a_rank_that_died_does_not_hold_up_the_end() -> None:
    def body(group: ProcessGroup) -> tuple[str, float]:
        if group.rank == 1:
            os._exit(0)
        group.send(np.full(LARGE, 7.0), 1, async_op=True)
        started_s = time.monotonic()
        with pytest.warns(UserWarning) as warned:
            group.flush()
        return str(warned[0].message), time.monotonic() - started_s

    message, seconds = outcomes_of(2, body)[0].result
    assert "is lost" in message and seconds < 1.0


@pytest.mark.parametrize("death", DEATHS)
def test_the_message_says_how_the_peer_ended(death: str) -> None:
    end, words = DEATHS[death]

    def body(group: ProcessGroup) -> tuple[str, tuple[int, ...], float]:
        if group.rank == 2:
            end()
        return lost_after(lambda: group.all_reduce(SMALL))

    *survivors, _ = outcomes_of(3, body)
    for outcome in survivors:
        assert outcome.error is None, outcome.trace
        message, ranks, seconds = outcome.result
        assert seconds < 1.0
        # A survivor may also hear first that the other survivor gave up for the same reason.
        assert 2 in ranks or "PeerLostError" in message
        assert words in message


def test_a_peer_that_dies_amid_large_collectives() -> None:
    def body(group: ProcessGroup) -> float:
        array = np.zeros(4 * LARGE)
        if group.rank == 1:
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        with pytest.raises(PeerLostError):
            while True:
                group.all_reduce(array)
        return time.monotonic()

    outcomes = outcomes_of(3, body)
    assert outcomes[1].status == -signal.SIGKILL
    for outcome in (outcomes[0], outcomes[2]):
        assert outcome.error is None, outcome.trace
    assert abs(outcomes[0].result - outcomes[2].result) < 1.0


def test_closing_early_is_told_to_those_who_wait() -> None:
    def body(group: ProcessGroup) -> str:
        if group.rank == 1:
            group.close()
            return ""
        return lost_after(group.barrier)[0]

    message = run_ranks(2, body)[0]
    assert "rank 1" in message
    assert "closed the process group without joining" in message


def test_a_rank_may_leave_right_after_its_last_collective() -> None:
    def body(group: ProcessGroup) -> None:
        for i in range(50):
            made = group.new_group([0, 1, 2])
            assert made is not None
            made.all_reduce(np.zeros(LARGE // 10))
            # Whoever is last still reads what the others wrote.
            made.close()
            group.barrier()
            assert made.rank == group.rank, i

    run_ranks(3, body)


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("\udcff"), "gave up: ValueError: \\udcff"),
        (_Wordless(), "gave up: _Wordless"),
        (ValueError("é" * 3000), "gave up: ValueError: éé"),
    ],
)
def test_an_error_with_any_text_is_told_to_the_others(error: Exception, words: str) -> None:
    def body(group: ProcessGroup) -> str:
        if group.rank == 1:
            with pytest.raises(type(error)):
                group._guard(fail, Deadline.after(20))
            return ""
        return lost_after(group.barrier)[0]

    def fail(_: Deadline) -> None:
        raise error

    assert words in run_ranks(2, body)[0]


def test_a_subgroup_notices_deaths_after_its_parent_was_closed() -> None:
    def body(group: ProcessGroup) -> float:
        sub = group.new_group([0, 1])
        assert sub is not None
        group.close()
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return lost_after(sub.barrier)[2]

    survivor = outcomes_of(2, body)[0]
    assert survivor.error is None, survivor.trace
    assert survivor.result < 1.0


def test_a_process_number_is_told_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTTORCH_RUN_DIR", raising=False)
    for pid, who, number in ((0, "rank 1 has not", "PID"), (77, "rank 1 (pid 77) has not", "77")):
        report = PeerReport(1, pid, False, Condition.ACTIVE, "", "")
        text = late_text(0, "barrier #1", 1.0, [report])
        assert f": {who} arrived" in text and f"--pid {number}`" in text


@pytest.mark.parametrize("launcher", ["", "/a/run/directory"])
def test_a_long_wait_is_told_once_where_no_launcher_looks(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh, "_WARN_AFTER_S", 0.1)
    monkeypatch.setenv("DISTTORCH_RUN_DIR", launcher)

    def body(group: ProcessGroup) -> list[str]:
        told: list[str] = []
        monkeypatch.setattr(logging.getLogger("disttorch"), "warning", told.append)
        if group.rank == 1:
            time.sleep(0.4)
        array = np.ones(LARGE)
        group.all_reduce(array)
        assert array[0] == 2.0
        group.all_reduce(array)
        return told

    waited, came_late = run_ranks(2, body)
    assert came_late == []
    if launcher:
        assert waited == []
        return
    (text,) = waited
    assert text.startswith("rank 0 has waited 0.1 s in all_reduce #1 at ")
    assert "rank 1 (pid " in text and "has not arrived, having called no collective" in text
    assert "It gives up after 60 s; `py-spy dump --pid " in text
