"""All-reduces of arrays whose pages have moved: the same bits, also around forks and failures."""

from __future__ import annotations

import os
from collections.abc import Iterator

import ml_dtypes
import numpy as np
import pytest

from disttorch.comm.algorithms import all_reduce as ways
from disttorch.comm.algorithms import choice, remapped
from disttorch.comm.errors import PeerLostError, SharedMemoryError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from disttorch.comm.transport import remap
from tests.comm.ranks import outcomes_of, run_ranks

N_ITEMS = 50_021
KINDS = [
    (ReduceOp.SUM, np.dtype(np.float32)),
    (ReduceOp.AVG, np.dtype(ml_dtypes.bfloat16)),
    (ReduceOp.AVG, np.dtype(np.int64)),
    (ReduceOp.PRODUCT, np.dtype(np.float16)),
    (ReduceOp.MAX, np.dtype(np.float64)),
    (PremulSum(0.5), np.dtype(np.complex128)),
    (ReduceOp.BXOR, np.dtype(np.bool_)),
]


@pytest.fixture(autouse=True)
def _early(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(choice, "REMAP_FROM_BYTES", 8 * 4096)
    monkeypatch.setattr(remap, "_PATIENCE", 1)
    yield


def held(rank: int, dtype: np.dtype, n_items: int = N_ITEMS) -> np.ndarray:
    return (np.random.default_rng([rank, n_items]).normal(size=n_items) * 8).astype(dtype)


def at_offset(array: np.ndarray, n_items: int) -> np.ndarray:
    """The same values, so many elements further in their memory."""
    memory = np.empty(array.size + n_items, array.dtype)
    memory[n_items:] = array
    return memory[n_items:]


def sums_up(group: ProcessGroup, array: np.ndarray, times: int = 1) -> None:
    """Some all-reduces of one array, each checked."""
    for i in range(times):
        array[...] = np.arange(array.size) + group.rank + i
        group.all_reduce(array)
        extra = group.size * (group.size - 1) // 2 + group.size * i
        np.testing.assert_array_equal(array, group.size * np.arange(array.size) + extra)


def has_moved(array: np.ndarray) -> bool:
    return remap.find(array) is not None


@pytest.mark.parametrize("n_ranks", [2, 3, 5])
def test_moved_or_not_the_bits_are_the_same(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        for op, dtype in KINDS:
            # Ranks' arrays begin at different places in their pages.
            array = at_offset(held(group.rank, dtype), 5 * group.rank)
            runs = set()
            for _ in range(5):
                array[...] = held(group.rank, dtype)
                group.all_reduce(array, op)
                runs.add(array.tobytes())
            assert has_moved(array)
            assert len(runs) == 1
            seen += runs
        return seen

    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


def test_once_moved_no_data_goes_through_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(group: ProcessGroup) -> None:
        array = np.zeros(N_ITEMS)
        sums_up(group, array, 3)

        def unwanted(*_: object) -> None:
            raise AssertionError("went another way")

        monkeypatch.setattr(ways, "direct", unwanted)
        monkeypatch.setattr(remapped.Remaps, "_exchange", unwanted)
        sums_up(group, array, 3)
        sums_up(group, array[8192:-8192], 2)

    run_ranks(2, body)


def test_arrays_of_other_sizes_and_pairs_meet() -> None:
    def body(group: ProcessGroup) -> None:
        arrays = [np.zeros(N_ITEMS) for _ in range(3)]
        for turn in range(12):
            # Each rank goes through its arrays in an order of its own.
            sums_up(group, arrays[(turn * (1 + group.rank)) % 3])
        whole = np.zeros(4 * N_ITEMS)
        for part in np.split(whole, 4) * 3:
            sums_up(group, part)
        sums_up(group, whole, 3)

    run_ranks(3, body)


def test_one_rank_with_new_arrays_is_waited_for_by_none() -> None:
    def body(group: ProcessGroup) -> bool:
        array = np.zeros(N_ITEMS)
        for _ in range(6):
            sums_up(group, np.zeros(N_ITEMS) if group.rank == 1 else array)
        return has_moved(array)

    assert run_ranks(2, body) == [False, False]


def test_more_exchanges_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remapped, "_MOST_KEPT", 2)
    monkeypatch.setattr(remapped, "_NUMBER_MASK", 7)

    def body(group: ProcessGroup) -> None:
        arrays = [np.zeros(N_ITEMS) for _ in range(4)]
        for _ in range(5):
            for array in arrays:
                sums_up(group, array)
        assert len(group._context.remaps._exchanges) == 2

    run_ranks(2, body)


def test_subgroups_share_the_pages() -> None:
    def body(group: ProcessGroup) -> None:
        pair = group.new_group([0, 2])
        array = np.zeros(N_ITEMS)
        for _ in range(4):
            sums_up(group, array)
            if pair is not None:
                sums_up(pair, array)
        if pair is not None:
            pair.close()
        sums_up(group, array, 2)

    run_ranks(3, body)


def test_forks_of_some_ranks_in_between() -> None:
    def body(group: ProcessGroup) -> None:
        array = np.zeros(N_ITEMS)
        for turn in range(5):
            sums_up(group, array, 3)
            if group.rank == turn % 2:
                before = array.copy()
                go = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.read(go[0], 1)
                    same = np.array_equal(array, before)
                    array[...] = -1
                    os._exit(0 if same else 1)
                sums_up(group, array, 3)
                os.write(go[1], b"x")
                assert os.waitpid(pid, 0)[1] == 0
                os.close(go[0]), os.close(go[1])
            else:
                sums_up(group, array, 3)

    run_ranks(2, body)


def test_forks_while_all_reduces_are_under_way() -> None:
    def body(group: ProcessGroup) -> None:
        for i in range(40):
            if i % 5 == 0:
                array = np.zeros(N_ITEMS)
                sums_up(group, array, 3)
            array[...] = np.arange(N_ITEMS) + group.rank
            work = group.all_reduce(array, async_op=True)
            pid = os.fork()
            if pid == 0:
                array[...] = -1
                os._exit(0)
            assert work is not None
            work.wait()
            assert os.waitpid(pid, 0)[1] == 0
            np.testing.assert_array_equal(array, 2 * np.arange(N_ITEMS) + 1, err_msg=str(i))

    run_ranks(2, body)


@pytest.mark.parametrize("where", ["move", "map_peer"])
def test_short_memory_on_one_rank_only(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def body(group: ProcessGroup) -> bool:
        def short(*_: object, **__: object) -> None:
            raise SharedMemoryError("no memory")

        if group.rank == 1:
            monkeypatch.setattr(remap if where == "move" else remapped, where, short)
        arrays = [np.zeros(N_ITEMS) for _ in range(2)]
        for array in arrays:
            sums_up(group, array, 4)
        return group._context.remaps.possible

    assert run_ranks(2, body) == [False, False]


def test_only_some_ranks_use_allocated_memory() -> None:
    def body(group: ProcessGroup) -> None:
        window = group.allocate(8 * N_ITEMS).view(np.float64)
        own = np.zeros(N_ITEMS)
        for _ in range(4):
            sums_up(group, window if group.rank else own)
        sums_up(group, own, 3)
        sums_up(group, window, 2)

    run_ranks(2, body)


def test_who_gave_up_sees_nothing_of_what_others_still_write() -> None:
    go, done = os.pipe(), os.pipe()

    def body(group: ProcessGroup) -> None:
        array = np.zeros(N_ITEMS)
        sums_up(group, array, 3)
        reduce_slices = ways.reduce_slices

        def failing(*_: object) -> None:
            raise ArithmeticError("rank 0 fails here")

        def late(*args: object) -> None:
            os.read(go[0], 1)
            reduce_slices(*args)
            os.write(done[1], b"x")

        ways.reduce_slices = late if group.rank else failing
        array[...] = 1
        if group.rank:
            group.all_reduce(array)
            return
        with pytest.raises(ArithmeticError):
            group.all_reduce(array)
        array[...] = 5
        os.write(go[1], b"x")
        os.read(done[0], 1)
        assert (array == 5).all()

    ends = outcomes_of(2, body)
    assert ends[0].status == 0, ends[0].trace
    assert isinstance(ends[1].error, PeerLostError)
    for fd in (*go, *done):
        os.close(fd)


def test_memory_goes_back() -> None:
    def shared_kib() -> int:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("RssShmem"))

    def body(group: ProcessGroup) -> None:
        sums_up(group, np.zeros(N_ITEMS), 3)
        before = shared_kib()
        for _ in range(30):
            sums_up(group, np.zeros(1 << 18), 3)
        assert shared_kib() - before < 8 << 10

    run_ranks(2, body)
