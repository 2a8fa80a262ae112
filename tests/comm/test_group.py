"""Process groups whose ranks die, leave, lag, disagree, fork, or work in the background."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm import lifecycle
from disttorch.comm.deadline import Deadline
from disttorch.comm.env import RankEnv
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    GroupUnusableError,
    PeerLostError,
    SharedMemoryError,
)
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp
from disttorch.comm.work import Work
from tests.comm.ranks import outcomes_of, run_ranks

LARGE = 1_000_000
BIG = np.zeros(LARGE)
SMALL = np.zeros(3)

CALLS: dict[str, Callable[[ProcessGroup], object]] = {
    "all_reduce small": lambda g: g.all_reduce(SMALL),
    "all_reduce large": lambda g: g.all_reduce(BIG),
    "broadcast": lambda g: g.broadcast(BIG, g.size - 1),
    "reduce": lambda g: g.reduce(BIG),
    "all_gather": lambda g: g.all_gather([BIG.copy() for _ in range(g.size)], BIG),
    "gather": lambda g: g.gather(SMALL, [SMALL.copy()] * g.size if g.rank == 0 else None),
    "scatter": lambda g: g.scatter(SMALL, [SMALL.copy()] * g.size if g.rank == 0 else None),
    "reduce_scatter": lambda g: g.reduce_scatter(BIG, [BIG] * g.size),
    "all_to_all": lambda g: g.all_to_all([BIG.copy() for _ in range(g.size)], [BIG] * g.size),
    "barrier": lambda g: g.barrier(),
    "recv": lambda g: g.recv(SMALL, 1),
    "recv from any": lambda g: g.recv(SMALL),
    "send": lambda g: g.send(BIG, 1),
    "all_gather_object": lambda g: g.all_gather_object("x"),
    "broadcast_object": lambda g: g.broadcast_object("x", 1),
    "allocate": lambda g: g.allocate(1 << 20),
    "new_group": lambda g: g.new_group([0]),
    "all_reduce in the background": lambda g: waited(g.all_reduce(SMALL, async_op=True)),
    "irecv": lambda g: waited(g.irecv(SMALL, 1)),
}


def waited(work: Work | None) -> None:
    assert work is not None
    work.wait()


def raise_uncaught() -> None:
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
        sys.excepthook(ValueError, ValueError("bad sample"), None)
    os._exit(1)


def return_from_script() -> None:
    lifecycle._at_exit()
    os._exit(0)


DEATHS: dict[str, tuple[Callable[[], None], str]] = {
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), "died (killed or crashed)"),
    "exit 0": (return_from_script, "exited without joining"),
    "_exit": (lambda: os._exit(0), "died (killed or crashed)"),
    "raised": (raise_uncaught, "raised ValueError: bad sample"),
}


def lost_after(call: Callable[[], object]) -> tuple[str, tuple[int, ...], float]:
    """Message and ranks of the PeerLostError of a call, and after how many seconds it came."""
    start_s = time.monotonic()
    with pytest.raises(PeerLostError) as caught:
        call()
    return str(caught.value), caught.value.ranks, time.monotonic() - start_s


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
    assert "test_group.py:" in message
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


def test_a_late_rank_is_named_at_the_deadline() -> None:
    def body(group: ProcessGroup) -> str:
        group.barrier()
        if group.rank == 1:
            message, *_ = lost_after(lambda: group.recv(SMALL, 0))
            return message
        with pytest.raises(CollectiveTimeoutError) as caught:
            group.all_reduce(SMALL, timeout_s=0.2)
        assert caught.value.ranks == (1,)
        return str(caught.value)

    late, told = run_ranks(2, body)
    assert "rank 0: all_reduce #2 at" in late
    assert "timed out after 0.2 s: rank 1 (pid" in late
    assert "its last collective being barrier #1" in late
    assert "rank 0 (pid" in told
    assert "gave up: CollectiveTimeoutError" in told


def test_a_stopped_rank_is_a_time_out_and_not_a_hang() -> None:
    def body(group: ProcessGroup) -> float:
        if group.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
            return 0.0
        pids = [process.pid for process in group._link.processes]
        start_s = time.monotonic()
        with pytest.raises(CollectiveTimeoutError):
            group.all_reduce(BIG, timeout_s=0.3)
        os.kill(pids[1], signal.SIGCONT)
        return time.monotonic() - start_s

    assert 0.3 <= run_ranks(2, body)[0] < 2.0


MISMATCHES: dict[str, tuple[list[Callable[[ProcessGroup], object]], list[str]]] = {
    "operation": (
        [lambda g: g.all_reduce(SMALL), lambda g: g.barrier()],
        ["all_reduce  SUM", "barrier", "same collectives in the same order"],
    ),
    "shape": (
        [lambda g: g.all_reduce(np.zeros((2, 3))), lambda g: g.all_reduce(np.zeros((3, 2)))],
        ["(2, 3)", "(3, 2)", "The shape differs"],
    ),
    "many dimensions": (
        [lambda g: g.barrier() if 0 else g.all_reduce(np.zeros((1,) * 9 + (2,))),
         lambda g: g.all_reduce(np.zeros((1,) * 9 + (3,)))],
        ["(1, 1, 1, 1, 1, 1, 1, 1)", "arguments differ"],
    ),
    "dtype": (
        [lambda g: g.all_reduce(np.zeros(3, "f4")), lambda g: g.all_reduce(np.zeros(3))],
        ["float32", "float64", "The dtype differs"],
    ),
    "root": (
        [lambda g: g.broadcast(SMALL, 0), lambda g: g.broadcast(SMALL.copy(), 1)],
        ["root", "The root differs"],
    ),
    "reduction": (
        [lambda g: g.all_reduce(BIG, ReduceOp.MAX), lambda g: g.all_reduce(BIG, ReduceOp.AVG)],
        ["MAX", "AVG", "The reduction differs"],
    ),
    "subgroup": (
        [lambda g: g.new_group([0, 1]), lambda g: g.new_group([1, 0])],
        ["new_group", "ranks disagree"],
    ),
    "object forms": (
        [lambda g: g.all_gather_object(1), lambda g: g.broadcast_object(1)],
        ["all_gather_object", "broadcast_object"],
    ),
}  # fmt: skip


def test_disagreement_raises_on_all_ranks_and_leaves_the_group_usable() -> None:
    def body(group: ProcessGroup) -> list[str]:
        messages = []
        for calls, _ in MISMATCHES.values():
            with pytest.raises(CollectiveMismatchError) as caught:
                calls[min(group.rank, 1)](group)
            messages.append(str(caught.value))
        group.barrier()
        return messages

    results = run_ranks(3, body)
    assert results[0] == results[1] == results[2]
    for message, (_, words) in zip(results[0], MISMATCHES.values(), strict=True):
        for word in words:
            assert word in message, message
        assert message.count("test_group.py:") == 3, message


def test_background_calls_run_in_order_and_mix_with_others() -> None:
    def body(group: ProcessGroup) -> None:
        arrays = [np.full(size, i + 1.0) for i, size in enumerate((1, 10_000, 300_000, 7))]
        works = [group.all_reduce(array, async_op=True) for array in arrays]
        total = np.ones(3)
        group.all_reduce(total)
        assert all(work.is_completed() for work in works)
        assert total[0] == group.size
        for i, (work, array) in enumerate(zip(works, arrays, strict=True)):
            assert work.wait()
            assert work.is_success()
            assert work.exception() is None
            assert (array == (i + 1) * group.size).all()

    run_ranks(3, body)


def test_errors_in_the_background_come_out_of_wait() -> None:
    def body(group: ProcessGroup) -> None:
        work = group.all_reduce(np.zeros(3 + group.rank), async_op=True)
        with pytest.raises(CollectiveMismatchError, match=r"test_group\.py:"):
            work.wait()
        assert work.is_completed()
        assert not work.is_success()
        assert isinstance(work.exception(), CollectiveMismatchError)
        if group.rank == 0:
            slow = group.all_reduce(SMALL, async_op=True)
            with pytest.raises(CollectiveTimeoutError, match=r"did not end within 0\.01 s"):
                slow.wait(timeout_s=0.01)
            group.send(np.zeros(1), 1)
            assert slow.wait()
        else:
            group.recv(np.zeros(1), 0)
            group.all_reduce(SMALL)

    run_ranks(2, body)


def test_a_forked_child_cannot_use_or_disturb_the_group() -> None:
    def body(group: ProcessGroup) -> None:
        waited(group.all_reduce(np.zeros(3), async_op=True))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with pytest.raises(GroupUnusableError, match="forked child of it, such as a Data"):
                    group.all_reduce(np.zeros(3))
                with pytest.raises(GroupUnusableError):
                    group.send(np.zeros(3), 1 - group.rank)
                group.close()
                lifecycle._at_exit()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        group.barrier()
        waited(group.all_reduce(np.zeros(3), async_op=True))

    run_ranks(2, body)


def fds() -> set[str]:
    """The descriptors of this process as texts."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return {link for link in links if "memfd" in link or "pidfd" in link}


def mappings() -> int:
    """How many shared segments this process has mapped."""
    with open("/proc/self/maps") as maps:
        return sum("memfd:disttorch" in line for line in maps)


def test_nothing_is_left_after_close() -> None:
    def body(group: ProcessGroup) -> None:
        for _ in range(3):
            sub = group.new_group([0, 1])
            assert sub is not None
            memory = sub.allocate(1 << 20)
            waited(sub.all_reduce(memory, async_op=True))
            waited(sub.irecv(SMALL, 1) if sub.rank == 0 else sub.send(SMALL, 0, async_op=True))
            sub.close()
            with pytest.raises(GroupUnusableError, match="closed by this rank"):
                sub.barrier()
            memory[:] = 1
        del sub, memory
        group.barrier()
        group.close()
        group.close()

    def whole(group: ProcessGroup) -> None:
        body(group)
        assert fds() == set()
        assert mappings() == 0
        assert threading.active_count() == 1

    def freed(group: ProcessGroup) -> int:
        memory = group.allocate(1 << 20)
        group.all_reduce(memory)
        before = mappings()
        del memory
        group.allocate(8)
        group.all_reduce(np.zeros(100_000))
        gc.collect()
        return before - mappings()

    run_ranks(2, whole)
    # The big window goes, a small one may live until the next look for windows.
    assert all(n >= 1 for n in run_ranks(2, freed))


def test_memory_that_one_rank_cannot_have_is_an_error_on_all() -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(SharedMemoryError, match=r"rank [01]: .*bytes"):
            group.allocate(1 << 50)
        assert group.allocate(8).size == 8

    run_ranks(2, body)


def test_a_single_rank_needs_no_store() -> None:
    with ProcessGroup.from_env(RankEnv(0, 1)) as group:
        array = np.array([3, 5])
        group.all_reduce(array, ReduceOp.AVG)
        assert array.tolist() == [3, 5]
        assert group.all_gather_object("x") == ["x"]
        sub = group.new_group([0])
        assert sub is not None
        sub.close()
    with pytest.raises(ValueError, match="a job of 2 ranks needs a store"):
        ProcessGroup.from_env(RankEnv(0, 2))


def test_subgroups_number_their_own_ranks_and_speak_of_global_ones() -> None:
    def body(group: ProcessGroup) -> str:
        sub = group.new_group([2, 0], timeout_s=0.1)
        if group.rank == 1:
            assert sub is None
            return ""
        assert sub is not None
        assert (sub.rank, sub.size, sub.ranks) == (
            (0, 2, (2, 0)) if group.rank == 2 else (1, 2, (2, 0))
        )
        array = np.array([group.rank])
        sub.broadcast(array, 0)
        assert array[0] == 2
        group_of_one = sub.new_group([1])
        if group_of_one is not None:
            assert group_of_one.ranks == (0,)
            group_of_one.close()
        message = ""
        if group.rank == 2:
            with pytest.raises(CollectiveTimeoutError) as caught:
                sub.barrier()
            message = str(caught.value)
            group.send(SMALL, 0)
        else:
            group.recv(SMALL, 2)
        sub.close()
        return message

    assert "rank 0 (pid" in run_ranks(3, body)[2]


def test_closing_ends_a_call_of_another_thread() -> None:
    def body(group: ProcessGroup) -> None:
        errors: list[BaseException] = []

        def wait_for_ever() -> None:
            try:
                group.barrier() if group.rank else group.recv(SMALL, 1)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=wait_for_ever)
        if group.rank == 2:
            while group._mesh.pages[1].latest() is None:
                time.sleep(0.001)
            return
        thread.start()
        while group.rank and group._mesh.own.latest() is None:
            time.sleep(0.001)
        group.close()
        thread.join(20)
        assert [type(error) for error in errors] == [GroupUnusableError], errors

    run_ranks(3, body)


def test_a_collective_in_a_signal_handler_ends_at_its_deadline() -> None:
    def body(group: ProcessGroup) -> None:
        if group.rank == 1:
            group.recv(SMALL, 0)
            group.barrier()
            return
        seen: list[BaseException] = []

        def handler(*_: object) -> None:
            try:
                group.barrier(timeout_s=0.05)
            except CollectiveTimeoutError as error:
                seen.append(error)
            group.send(SMALL, 1)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        group.barrier()
        assert "another call" in str(seen[0])

    run_ranks(2, body)


class _Unloadable:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return int, ("not a number",)


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_objects_that_cannot_be_unpickled_leave_the_group_usable() -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            group.all_gather_object(_Unloadable() if group.rank == 1 else 1)
        assert group.all_gather_object(group.rank) == [0, 1]

    run_ranks(2, body)


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
