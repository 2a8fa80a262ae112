"""Process groups whose ranks lag, disagree, fork, or work in the background."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from disttorch.comm import lifecycle
from disttorch.comm.env import RankEnv
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    GroupUnusableError,
    SharedMemoryError,
)
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp
from disttorch.comm.transport.arena import Condition
from tests.comm.calls import BIG, SMALL, lost_after, waited
from tests.comm.ranks import RankFailed, run_ranks


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
                slow.wait(timeout=0.01)
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


@pytest.mark.parametrize("name", ["barrier", "recv"])
def test_closing_ends_a_call_of_another_thread(name: str) -> None:
    def body(group: ProcessGroup) -> None:
        if group.rank == 1:
            # To leave before would end the other's call as well.
            while group._mesh.pages[0].condition()[0] is Condition.ACTIVE:
                time.sleep(0.001)
            return
        errors: list[BaseException] = []

        def wait_for_ever() -> None:
            try:
                group.barrier() if name == "barrier" else group.recv(SMALL, 1)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=wait_for_ever)
        thread.start()
        while name == "barrier" and group._mesh.own.latest() is None:
            time.sleep(0.001)
        group.close()
        thread.join(20)
        assert [type(error) for error in errors] == [GroupUnusableError], errors

    run_ranks(2, body)


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


def test_objects_that_cannot_be_unpickled_leave_the_group_usable() -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            group.all_gather_object(_Unloadable() if group.rank == 1 else 1)
        assert group.all_gather_object(group.rank) == [0, 1]

    run_ranks(2, body)


def test_a_check_that_fails_on_a_rank_fails_the_test() -> None:
    def body(group: ProcessGroup) -> None:
        if group.rank == 1:
            with pytest.raises(ValueError, match="never"):
                pass

    with pytest.raises(RankFailed, match="DID NOT RAISE"):
        run_ranks(2, body)
