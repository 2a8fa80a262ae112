"""Every collective against NumPy: dtypes x operations x world sizes x element counts.

Each rank computes what every rank holds from a seed, so nothing but the collective communicates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import ml_dtypes
import numpy as np
import pytest

from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp
from tests.comm.ranks import run_ranks
from tests.comm.sweep import __main__ as sweep
from tests.comm.sweep.ways import settings

WORLDS = (1, 2, 3, 5)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
INTEGERS = [np.dtype(c) for c in "bhilBHIL"]
FLOATS = [np.dtype(np.float16), BFLOAT16, np.dtype(np.float32), np.dtype(np.float64)]
COMPLEX = [np.dtype(np.complex64), np.dtype(np.complex128)]
BOOL = [np.dtype(np.bool_)]
DTYPES = INTEGERS + FLOATS + COMPLEX + BOOL
SIZES = (0, 1, 7, 1001)
LARGE = 700_003

OPS: list[tuple[ReduceOp, list[np.dtype]]] = [
    (ReduceOp.SUM, DTYPES),
    (ReduceOp.AVG, INTEGERS + FLOATS + COMPLEX),
    (ReduceOp.PRODUCT, DTYPES),
    (ReduceOp.MIN, INTEGERS + FLOATS + BOOL),
    (ReduceOp.MAX, INTEGERS + FLOATS + BOOL),
    (ReduceOp.BAND, INTEGERS + BOOL),
    (ReduceOp.BOR, INTEGERS + BOOL),
    (ReduceOp.BXOR, INTEGERS + BOOL),
]


@cache
def values(rank: int, size: int, dtype: np.dtype) -> np.ndarray:
    """What rank `rank` holds; made in the parent, so that the forked ranks find it ready."""
    random = np.random.default_rng([rank, size, dtype.num])
    if dtype.kind in "iu":
        return random.integers(0, 9, size).astype(dtype)
    if dtype.kind == "c":
        return (random.normal(size=size) + 1j * random.normal(size=size)).astype(dtype)
    return (random.normal(size=size) * 2).astype(dtype)


def reduced(op: ReduceOp, arrays: list[np.ndarray]) -> np.ndarray:
    """The reduction by NumPy, in one go and in a wide dtype."""
    dtype = arrays[0].dtype
    if op in (ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR):
        name = {ReduceOp.BAND: "and", ReduceOp.BOR: "or", ReduceOp.BXOR: "xor"}[op]
        return getattr(np, f"bitwise_{name}").reduce(arrays)
    if dtype.kind == "b":
        is_or = op in (ReduceOp.SUM, ReduceOp.MAX)
        return np.any(arrays, axis=0) if is_or else np.all(arrays, axis=0)
    wide = np.stack(arrays).astype(np.complex128 if dtype.kind == "c" else np.float64)
    if op in (ReduceOp.MIN, ReduceOp.MAX):
        return (wide.min(0) if op is ReduceOp.MIN else wide.max(0)).astype(dtype)
    total = wide.prod(0) if op is ReduceOp.PRODUCT else wide.sum(0)
    if op is ReduceOp.AVG:
        total = total / len(arrays)
    if dtype.kind not in "iu":
        return total.astype(dtype)
    return np.trunc(total).astype(np.int64).astype(dtype)


def check_close(got: np.ndarray, wanted: np.ndarray, what: object) -> None:
    """Equal for integers, within rounding for floats."""
    assert got.dtype == wanted.dtype, what
    if got.dtype.kind in "iub":
        np.testing.assert_array_equal(got, wanted, err_msg=str(what))
        return
    half = {BFLOAT16: 2e-2, np.dtype(np.float16): 2e-3}
    tolerance = half.get(got.dtype, 1e-5 if got.dtype.itemsize in (4, 8) else 1e-12)
    wide = np.complex128 if got.dtype.kind == "c" else np.float64
    np.testing.assert_allclose(
        got.astype(wide), wanted.astype(wide), rtol=tolerance, atol=tolerance, err_msg=str(what)
    )


def cases(n_ranks: int, small: tuple[int, ...] = SIZES) -> list[tuple[ReduceOp, np.dtype, int]]:
    """All operations and dtypes on small arrays, and the common ones on large arrays.

    With more ranks than cores each step waits for the scheduler: then every fifth case must do.
    """
    table = [(op, dtype, size) for op, dtypes in OPS for dtype in dtypes for size in small]
    table = table[:: 5 if n_ranks > 3 else 1]
    large = [np.dtype(np.float32), BFLOAT16, np.dtype(np.int64)]
    return table + [(op, dtype, LARGE) for op in (ReduceOp.SUM, ReduceOp.AVG) for dtype in large]


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_all_reduce(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        for i, (op, dtype, size) in enumerate(table):
            array = values(group.rank, size, dtype).copy()
            assert group.all_reduce(array, op) is None
            seen.append(array.tobytes())
            # All ranks' bits are compared below, so it is enough that one of them is right.
            if i % n_ranks == group.rank:
                wanted = reduced(op, [values(r, size, dtype) for r in range(n_ranks)])
                check_close(array, wanted, (op, dtype, size))
        return seen

    table = cases(n_ranks)
    for rank, (_, dtype, size) in itertools.product(range(n_ranks), table):
        values(rank, size, dtype)
    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_all_reduce_in_allocated_memory(n_ranks: int) -> None:
    table = [
        (op, dtype, size)
        for op, dtypes in OPS[:4]
        for dtype in (dtypes[-1], BFLOAT16, np.dtype(np.float32))
        for size in (0, 1, 7, 9_001, 70_003)
    ]
    table += [(ReduceOp.SUM, np.dtype(np.float32), LARGE), (ReduceOp.AVG, BFLOAT16, LARGE)]

    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        memory = group.allocate(LARGE * 16 + 64)
        assert memory.ctypes.data % 4096 == 0
        for i, (op, dtype, size) in enumerate(table):
            array = memory[64:].view(dtype)[:size]
            array[...] = values(group.rank, size, dtype)
            group.all_reduce(array, op)
            seen.append(array.tobytes())
            if i % n_ranks == group.rank:
                wanted = reduced(op, [values(r, size, dtype) for r in range(n_ranks)])
                check_close(array, wanted, (op, dtype, size))
        return seen

    for rank, (_, dtype, size) in itertools.product(range(n_ranks), table):
        values(rank, size, dtype)
    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


def test_only_some_ranks_use_allocated_memory() -> None:
    def body(group: ProcessGroup) -> None:
        memory = group.allocate(4 * LARGE + 4096).view(np.float32)
        places = [memory[:LARGE], memory[512 : 512 + LARGE], np.zeros(LARGE, np.float32)]
        for chosen in itertools.product(range(3), repeat=2):
            array = places[chosen[group.rank]]
            array[:] = group.rank + 1
            group.all_reduce(array)
            np.testing.assert_array_equal(array, 3)

    run_ranks(2, body)


def test_results_are_bit_identical_over_runs_and_ways() -> None:
    def body(group: ProcessGroup) -> bytes:
        memory = group.allocate(4 * LARGE).view(np.float32)
        memory[:LARGE] = values(group.rank, LARGE, np.dtype(np.float32))
        private = memory.copy()
        group.all_reduce(memory)
        group.all_reduce(private)
        assert memory.tobytes() == private.tobytes()
        return private.tobytes()

    runs = [run_ranks(3, body) for _ in range(2)]
    assert len({result for run in runs for result in run}) == 1


def move_all_gather(group: ProcessGroup, held: list[np.ndarray]) -> None:
    outputs = [np.empty_like(held[0]) for _ in held]
    group.all_gather(outputs, held[group.rank])
    whole = np.empty((group.size, *held[0].shape), held[0].dtype)
    group.all_gather_into(whole, held[group.rank])
    for output, part, wanted in zip(outputs, whole, held, strict=True):
        assert output.tobytes() == part.tobytes() == wanted.tobytes()


def move_broadcast(group: ProcessGroup, held: list[np.ndarray]) -> None:
    for root in range(group.size):
        array = held[group.rank].copy()
        group.broadcast(array, root)
        assert array.tobytes() == held[root].tobytes()


def move_gather(group: ProcessGroup, held: list[np.ndarray]) -> None:
    root = group.size - 1
    outputs = [np.empty_like(held[0]) for _ in held] if group.rank == root else None
    group.gather(held[group.rank], outputs, root)
    for output, wanted in zip(outputs or [], held, strict=False):
        assert output.tobytes() == wanted.tobytes()


def move_scatter(group: ProcessGroup, held: list[np.ndarray]) -> None:
    root = group.size - 1
    output = np.empty_like(held[0])
    group.scatter(output, held if group.rank == root else None, root)
    assert output.tobytes() == held[group.rank].tobytes()


def move_all_to_all(group: ProcessGroup, held: list[np.ndarray]) -> None:
    outputs = [np.empty_like(held[0]) for _ in held]
    group.all_to_all(outputs, held[group.rank :] + held[: group.rank])
    whole = np.empty((group.size, held[0].size), held[0].dtype)
    joined = np.empty_like(whole)
    for row, array in zip(joined, held[group.rank :] + held[: group.rank], strict=True):
        row[...] = array
    group.all_to_all_single(whole, joined)
    for source, (output, part) in enumerate(zip(outputs, whole, strict=True)):
        wanted = held[(source + group.rank) % group.size]
        assert output.tobytes() == part.tobytes() == wanted.tobytes()


def move_send_recv(group: ProcessGroup, held: list[np.ndarray]) -> None:
    for source, target in itertools.permutations(range(group.size), 2):
        if group.rank == source:
            group.send(held[source], target, tag=target)
        elif group.rank == target:
            got = np.empty_like(held[0])
            assert group.recv(got, source, tag=target) == source
            assert got.tobytes() == held[source].tobytes()


MOVES = [
    move_all_gather,
    move_broadcast,
    move_gather,
    move_scatter,
    move_all_to_all,
    move_send_recv,
]


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_moving_data(n_ranks: int) -> None:
    table = [(dtype, size) for dtype in DTYPES for size in SIZES]
    table += [(np.dtype(np.float32), LARGE), (np.dtype(np.uint8), LARGE), (BFLOAT16, LARGE)]
    table += [(np.dtype("M8[s]"), 7), (np.dtype(">f4"), 7), (np.dtype([("a", "i4")]), 7)]

    def body(group: ProcessGroup) -> None:
        for (dtype, size), move in itertools.product(table, MOVES):
            raw = dtype if dtype.kind in "iufcb" else np.dtype(np.uint64)
            held = [values(rank, size, raw).view(np.uint8) for rank in range(n_ranks)]
            move(group, [array[: size * dtype.itemsize].view(dtype) for array in held])

    for rank, (dtype, size) in itertools.product(range(n_ranks), table):
        values(rank, size, dtype if dtype.kind in "iufcb" else np.dtype(np.uint64))
    run_ranks(n_ranks, body)


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_reduce_and_reduce_scatter(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        root = n_ranks // 2
        for op, dtype, size in cases(n_ranks, small=(0, 7)):
            held = [[values(r * 10 + p, size, dtype) for p in range(n_ranks)]
                    for r in range(n_ranks)]  # fmt: skip
            mine = held[group.rank]
            wanted = reduced(op, [held[r][group.rank] for r in range(n_ranks)])
            output, whole = np.empty(size, dtype), np.empty(size, dtype)
            group.reduce_scatter(output, mine, op)
            group.reduce_scatter_from(whole, np.stack(mine), op)
            check_close(output, wanted, (op, dtype, size))
            assert whole.tobytes() == output.tobytes()
            array = mine[0].copy()
            group.reduce(array, root, op)
            if group.rank == root:
                check_close(array, reduced(op, [h[0] for h in held]), (op, dtype, size))
            else:
                assert array.tobytes() == mine[0].tobytes()

    run_ranks(n_ranks, body)


def test_strided_and_zero_dimensional_arrays() -> None:
    def body(group: ProcessGroup) -> None:
        base = np.arange(24, dtype=np.float64).reshape(4, 6)
        strided = base.copy().T[::2]
        group.all_reduce(strided)
        np.testing.assert_array_equal(strided, 2 * base.T[::2])
        scalar = np.array(group.rank + 1.0)
        group.all_reduce(scalar)
        assert scalar == 3.0
        outs = [np.zeros((6, 4)).T for _ in range(2)]
        group.all_gather(outs, base + group.rank)
        np.testing.assert_array_equal(outs[1], base + 1)
        target = np.zeros((6, 4)).T
        group.broadcast(base if group.rank == 0 else target)
        if group.rank == 1:
            np.testing.assert_array_equal(target, base)
            group.recv(target[:, ::2], 0)
            np.testing.assert_array_equal(target[:, ::2], base[:, 1::2])
        else:
            group.send(base[:, 1::2], 1)

    run_ranks(2, body)


def test_overflow_is_silent() -> None:
    def body(group: ProcessGroup) -> None:
        array = np.array([3e38, np.inf], np.float32) * np.float32(1 - 2 * 0)
        array[1] *= 1 - 2 * group.rank
        group.all_reduce(array)
        assert np.isinf(array[0])
        assert np.isnan(array[1])

    run_ranks(2, body)


OBJECTS: list[object] = [
    None,
    {"text": "x" * 100, "nested": [1, (2.5, b"bytes")]},
    np.arange(300_000, dtype=np.float64),
    [np.zeros((0, 3)), np.ones(5, np.float32)[::2]],
    "y" * 3_000_000,
]


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_objects(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        rank, last = group.rank, n_ranks - 1
        for obj in OBJECTS:
            gathered = group.all_gather_object((rank, obj))
            np.testing.assert_equal(gathered, [(r, obj) for r in range(n_ranks)])
            received = group.broadcast_object((rank, obj) if rank == last else None, last)
            np.testing.assert_equal(received, (last, obj))
            at_root = group.gather_object((rank, obj), 0)
            np.testing.assert_equal(at_root, gathered if rank == 0 else None)
            pieces = [(r, obj) for r in range(n_ranks)] if rank == 0 else None
            np.testing.assert_equal(group.scatter_object(pieces), (rank, obj))
            if rank == 0 and last:
                group.send_object(obj, last)
            elif rank == last and last:
                np.testing.assert_equal(group.recv_object(0), obj)

    run_ranks(n_ranks, body)


def test_objects_that_pickle_refuses_and_arrays_that_can_be_written() -> None:
    def body(group: ProcessGroup) -> None:
        offset = 10 * group.rank
        functions = group.all_gather_object(lambda x: x + offset)
        assert [function(1) for function in functions] == [1, 11]
        _, (text, array) = group.all_gather_object(("x", np.zeros(1000)))
        array += 1
        assert (text, array.flags.aligned) == ("x", True)

    run_ranks(2, body)


# Of every setting one case of so many, with every overlap of arrays: what `python -m
# tests.comm.sweep` runs whole.
SAMPLES = [("shared", 3, 211), ("tcp", 2, 307), ("hosts", 3, 211)]


@pytest.mark.parametrize(("transport", "n_ranks", "every"), SAMPLES)
def test_a_sample_of_the_sweep(transport: str, n_ranks: int, every: int) -> None:
    n_cases = 0
    for i, setting in enumerate(settings(transport)):
        chosen = sweep.cases(setting)[17 * i % every :: every]
        found = sweep.run(setting, n_ranks, chosen)
        assert not found.failures, "\n".join(found.failures)
        n_cases += len(chosen)
    assert n_cases > 30
    assert sweep.overlapping(setting, n_ranks, sizes=(5001,)) > 0


@pytest.mark.parametrize("transport", ["shared", "tcp"])
def test_one_dimension_with_gaps_in_it_is_no_memory_to_send(transport: str) -> None:
    for setting in settings(transport):
        chosen = [
            case
            for case in sweep.cases(setting)
            if (case.layout, case.size, case.dtype.str) == ("strided", sweep.LARGE, "<f4")
        ]
        assert chosen
        found = sweep.run(setting, 2, chosen)
        assert not found.failures, "\n".join(found.failures)


BAD_CALLS: list[tuple[Callable[[ProcessGroup], object], type[Exception], str]] = [
    (lambda g: g.all_reduce([1.0]), TypeError, "must be a NumPy array, got list"),
    (lambda g: g.all_reduce(np.array([{}])), TypeError, "holds Python objects"),
    (lambda g: g.broadcast(np.zeros(2, "V0")), TypeError, "elements of 0 bytes"),
    (lambda g: g.broadcast(np.zeros(2, "S600000")), TypeError, "elements of 600000 bytes"),
    (lambda g: g.all_reduce(np.zeros(2), ReduceOp.BOR), TypeError, "Cannot use ReduceOp.BOR with"),
    (lambda g: g.all_reduce(np.zeros(2, bool), ReduceOp.AVG), TypeError, "AVG with bool"),
    (lambda g: g.all_reduce(np.zeros(2, complex), ReduceOp.MAX), TypeError, "MAX with complex"),
    (lambda g: g.all_reduce(np.broadcast_to(np.zeros(1), 3)), ValueError, "read-only"),
    (lambda g: g.broadcast(np.zeros(2), 1), ValueError, r"root must be in 0\.\.0, got 1"),
    (lambda g: g.all_gather([], np.zeros(2)), ValueError, "one array for each of the 1 ranks"),
    (lambda g: g.all_gather([np.zeros(3)], np.zeros(2)), ValueError, r"expected float64 \(2,\)"),
    (lambda g: g.all_gather_into(np.zeros(3), np.zeros(2)), ValueError, "1 times the elements"),
    (lambda g: g.all_to_all([], []), ValueError, "inputs must hold one array"),
    (lambda g: g.scatter(np.zeros(2), None), ValueError, "inputs must hold one array"),
    (lambda g: g.scatter_object(None), ValueError, "got None"),
    (lambda g: g.send(np.zeros(2), 0), ValueError, "another rank"),
    (lambda g: g.recv(np.zeros(2)), ValueError, "no other rank"),
    (lambda g: g.allocate(-1), ValueError, "nbytes must be at least 0"),
    (lambda g: g.new_group([0, 0]), ValueError, "different ranks"),
    (lambda g: g.barrier(timeout_s=-1), ValueError, "timeout_s must be at least 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_raise_and_leave_the_group_usable(call, error, message) -> None:
    with ProcessGroup.single() as group:
        with pytest.raises(error, match=message):
            call(group)
        group.barrier()
