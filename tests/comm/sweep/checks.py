"""Each collective once, as a `Case` says, against the model; AssertionError where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp, Reduction
from tests.comm.sweep.layouts import Space
from tests.comm.sweep.model import Arrays, check_bits, check_close, reduced, row


@dataclass(frozen=True)
class Case:
    """One collective of one kind of array; `number` counts them, `op` is None for moves."""

    number: int
    name: str
    op: Reduction | None
    dtype: np.dtype
    size: int
    edges: bool
    layout: str
    background: bool

    def held(self, rank: int, part: int = 0, size: int | None = None) -> np.ndarray:
        """What a rank holds for another one, which is its `part`."""
        n_items = self.size if size is None else size
        return row(10 * rank + part + self.number, n_items, self.dtype, edges=self.edges)

    def space(self, values: np.ndarray, window: np.ndarray | None = None) -> Space:
        """An array that is written."""
        layout = "plain" if self.layout in ("read-only", "window") else self.layout
        return Space(values, layout, window)

    def blank(self, size: int | None = None) -> Space:
        """An array that is only written."""
        return self.space(np.zeros(self.size if size is None else size, self.dtype))

    def given(self, values: np.ndarray) -> Space:
        """An array that is only read."""
        return Space(values, "plain" if self.layout == "window" else self.layout)


@dataclass(frozen=True)
class Surroundings:
    """Of the ranks of a job: `exact` if they reduce in rank order; their `window`, if any.

    `all_reduce` takes an array so many `times`.
    """

    group: ProcessGroup
    exact: bool
    window: np.ndarray | None
    times: int = 1


Finish = Callable[[], bytes | None]
"""Waits for what was begun and checks it; returns what all ranks must have alike, if they must."""
Check = Callable[[Surroundings, Case], Finish]


def _ended(work: Any) -> None:
    if work is not None:
        assert work.wait(60.0)


def _right(around: Surroundings, case: Case, got: np.ndarray, rows: Arrays) -> None:
    assert case.op is not None
    if around.exact:
        check_bits(got, reduced(case.op, rows), case)
    else:
        check_close(got, case.op, rows, case)


def all_reduce(around: Surroundings, case: Case) -> Finish:
    group = around.group
    array = case.space(case.held(group.rank), around.window)
    for _ in range(around.times - 1):
        group.all_reduce(array.array, case.op)
        array.array[...] = case.held(group.rank).reshape(array.array.shape)
    work = group.all_reduce(array.array, case.op, async_op=case.background)

    def finish() -> bytes:
        _ended(work)
        got = array.result()
        # All ranks' bits are compared, so it is enough that one of them is right.
        if case.number % group.size == group.rank:
            _right(around, case, got, [case.held(r) for r in range(group.size)])
        return got.tobytes()

    return finish


def reduce(around: Surroundings, case: Case) -> Finish:
    group, root = around.group, case.number % around.group.size
    array = case.space(case.held(group.rank))
    work = group.reduce(array.array, root, case.op, async_op=case.background)

    def finish() -> None:
        _ended(work)
        if group.rank == root:
            _right(around, case, array.result(), [case.held(r) for r in range(group.size)])
        else:
            array.unchanged()

    return finish


def reduce_scatter(around: Surroundings, case: Case) -> Finish:
    group, output = around.group, case.blank()
    inputs = [case.given(case.held(group.rank, part)) for part in range(group.size)]
    arrays = [each.array for each in inputs]
    work = group.reduce_scatter(output.array, arrays, case.op, async_op=case.background)

    def finish() -> None:
        _ended(work)
        _right(around, case, output.result(), [case.held(r, group.rank) for r in range(group.size)])
        _unchanged(inputs)

    return finish


def reduce_scatter_from(around: Surroundings, case: Case) -> Finish:
    group, output = around.group, case.blank()
    parts = [case.held(group.rank, part) for part in range(group.size)]
    whole = case.given(np.concatenate(parts))
    work = group.reduce_scatter_from(output.array, whole.array, case.op, async_op=case.background)

    def finish() -> None:
        _ended(work)
        _right(around, case, output.result(), [case.held(r, group.rank) for r in range(group.size)])
        whole.unchanged()

    return finish


def reduce_scatter_uneven(around: Surroundings, case: Case) -> Finish:
    group = around.group
    sizes = _uneven(case.size, group.size)
    output = case.blank(sizes[group.rank])
    inputs = [case.given(case.held(group.rank, part, size)) for part, size in enumerate(sizes)]
    arrays = [each.array for each in inputs]
    work = group.reduce_scatter(output.array, arrays, case.op, async_op=case.background)

    def finish() -> None:
        _ended(work)
        rows = [case.held(r, group.rank, sizes[group.rank]) for r in range(group.size)]
        _right(around, case, output.result(), rows)
        _unchanged(inputs)

    return finish


def broadcast(around: Surroundings, case: Case) -> Finish:
    group, root = around.group, case.number % around.group.size
    own = case.held(group.rank)
    array = case.given(own) if group.rank == root else case.space(own)
    work = group.broadcast(array.array, root, async_op=case.background)

    def finish() -> None:
        _ended(work)
        if group.rank == root:
            array.unchanged()
        else:
            _equal(array.result(), case.held(root), case)

    return finish


def all_gather(around: Surroundings, case: Case) -> Finish:
    return _all_gather(around.group, case, [case.size] * around.group.size)


def all_gather_uneven(around: Surroundings, case: Case) -> Finish:
    return _all_gather(around.group, case, _uneven(case.size, around.group.size))


def _all_gather(group: ProcessGroup, case: Case, sizes: Sequence[int]) -> Finish:
    own = case.given(case.held(group.rank, size=sizes[group.rank]))
    outputs = [case.blank(size) for size in sizes]
    arrays = [output.array for output in outputs]
    work = group.all_gather(arrays, own.array, async_op=case.background)

    def finish() -> None:
        _ended(work)
        for rank, output in enumerate(outputs):
            _equal(output.result(), case.held(rank, size=sizes[rank]), case)
        own.unchanged()

    return finish


def all_gather_into(around: Surroundings, case: Case) -> Finish:
    group = around.group
    own, output = case.given(case.held(group.rank)), case.blank(case.size * group.size)
    work = group.all_gather_into(output.array, own.array, async_op=case.background)

    def finish() -> None:
        _ended(work)
        _equal(output.result(), np.concatenate([case.held(r) for r in range(group.size)]), case)
        own.unchanged()

    return finish


def gather(around: Surroundings, case: Case) -> Finish:
    group, root = around.group, case.number % around.group.size
    own = case.given(case.held(group.rank))
    outputs = [case.blank() for _ in range(group.size)] if group.rank == root else []
    arrays = [output.array for output in outputs] or None
    work = group.gather(own.array, arrays, root, async_op=case.background)

    def finish() -> None:
        _ended(work)
        for rank, output in enumerate(outputs):
            _equal(output.result(), case.held(rank), case)
        own.unchanged()

    return finish


def scatter(around: Surroundings, case: Case) -> Finish:
    group, root = around.group, case.number % around.group.size
    inputs = [case.given(case.held(root, part)) for part in range(group.size)]
    output = case.blank()
    arrays = [each.array for each in inputs] if group.rank == root else None
    work = group.scatter(output.array, arrays, root, async_op=case.background)

    def finish() -> None:
        _ended(work)
        _equal(output.result(), case.held(root, group.rank), case)
        _unchanged(inputs)

    return finish


def all_to_all(around: Surroundings, case: Case) -> Finish:
    group = around.group
    inputs = [case.given(case.held(group.rank, part)) for part in range(group.size)]
    outputs = [case.blank() for _ in range(group.size)]
    arrays = [[each.array for each in spaces] for spaces in (outputs, inputs)]
    work = group.all_to_all(*arrays, async_op=case.background)

    def finish() -> None:
        _ended(work)
        for rank, output in enumerate(outputs):
            _equal(output.result(), case.held(rank, group.rank), case)
        _unchanged(inputs)

    return finish


def all_to_all_single(around: Surroundings, case: Case) -> Finish:
    group = around.group
    parts = [case.held(group.rank, part) for part in range(group.size)]
    whole, output = case.given(np.concatenate(parts)), case.blank(case.size * group.size)
    work = group.all_to_all_single(output.array, whole.array, async_op=case.background)

    def finish() -> None:
        _ended(work)
        wanted = [case.held(r, group.rank) for r in range(group.size)]
        _equal(output.result(), np.concatenate(wanted), case)
        whole.unchanged()

    return finish


def all_to_all_uneven(around: Surroundings, case: Case) -> Finish:
    group, rank = around.group, around.group.rank
    sizes = [[case.size * ((s + 2 * r) % 3) // 2 for r in range(group.size)]
             for s in range(group.size)]  # fmt: skip
    received = [sizes[s][rank] for s in range(group.size)]
    parts = [case.held(rank, part, size) for part, size in enumerate(sizes[rank])]
    layout = case.layout if case.layout in ("offset", "strided", "reversed", "read-only") else ""
    whole = Space(np.concatenate(parts), layout or "plain")
    output = Space(np.zeros(sum(received), case.dtype), layout.replace("read-only", "") or "plain")
    arrays = [a.array.reshape(1) if a.array.ndim == 0 else a.array for a in (output, whole)]
    work = group.all_to_all_single(*arrays, received, sizes[rank], async_op=case.background)

    def finish() -> None:
        _ended(work)
        wanted = [case.held(r, rank, size) for r, size in enumerate(received)]
        _equal(output.result(), np.concatenate(wanted), case)
        whole.unchanged()

    return finish


def send_recv(around: Surroundings, case: Case) -> Finish:
    """Everyone sends to the next rank; in the background, with receives posted first."""
    group = around.group
    if group.size == 1:
        return lambda: None
    before, after = (group.rank - 1) % group.size, (group.rank + 1) % group.size
    own, output = case.given(case.held(group.rank)), case.blank()
    source, tag = None if case.edges else before, case.number
    posted = case.background and output.array.flags.c_contiguous
    receiving = group.irecv(output.array, source, tag) if posted else None
    sending = group.send(own.array, after, tag, async_op=True)
    if receiving is None:
        assert group.recv(output.array, source, tag) == before

    def finish() -> None:
        _ended(receiving)
        _ended(sending)
        _equal(output.result(), case.held(before), case)
        own.unchanged()

    return finish


def objects(around: Surroundings, case: Case) -> Finish:
    """Every form with objects, of which arrays travel out of band."""
    group, root = around.group, case.number % around.group.size
    own = case.given(case.held(group.rank))
    held = [case.held(r) for r in range(group.size)]
    gathered = group.all_gather_object({"rank": group.rank, "array": own.array})
    at_root = group.gather_object((group.rank, own.array), root)
    told = group.broadcast_object(own.array, root)
    given = group.scatter_object([*held] if group.rank == root else None, root)
    if root:
        sent = _between(group, own.array, root)
        _equal(sent.reshape(-1), held[0 if group.rank == root else group.rank], case)

    def finish() -> None:
        for rank, each in enumerate(gathered):
            assert each["rank"] == rank
            _equal(each["array"].reshape(-1), held[rank], case)
        for rank, (whose, array) in enumerate(at_root or []):
            assert whose == rank
            _equal(array.reshape(-1), held[rank], case)
        _equal(told.reshape(-1), held[root], case)
        _equal(given, held[group.rank], case)
        own.unchanged()

    return finish


def _between(group: ProcessGroup, array: np.ndarray, root: int) -> np.ndarray:
    """This rank's own array; on the root that of rank 0, which sends it."""
    if group.rank == 0:
        group.send_object(array, root, 3)
    elif group.rank == root:
        return group.recv_object(0, 3)
    return array


def barrier(around: Surroundings, case: Case) -> Finish:
    work = around.group.barrier(async_op=case.background)

    def finish() -> None:
        _ended(work)

    return finish


def _uneven(size: int, n_ranks: int) -> list[int]:
    """Sizes of all ranks: none, half, all, none and so on."""
    return [size * (rank % 3) // 2 for rank in range(n_ranks)]


def _equal(got: np.ndarray, wanted: np.ndarray, case: Case) -> None:
    assert got.dtype == wanted.dtype and got.tobytes() == wanted.tobytes(), case


def _unchanged(spaces: Sequence[Space]) -> None:
    for space in spaces:
        space.unchanged()


REDUCING: dict[str, Check] = {
    check.__name__: check
    for check in (
        all_reduce, reduce, reduce_scatter, reduce_scatter_from, reduce_scatter_uneven
    )
}  # fmt: skip
MOVING: dict[str, Check] = {
    check.__name__: check
    for check in (
        broadcast, all_gather, all_gather_uneven, all_gather_into, gather, scatter, all_to_all,
        all_to_all_single, all_to_all_uneven, send_recv, objects, barrier,
    )
}  # fmt: skip
CHECKS = REDUCING | MOVING


def refused(group: ProcessGroup, op: Reduction, dtype: np.dtype) -> None:
    """AssertionError unless all forms of a reduction refuse the dtype before anything is sent."""
    array = np.zeros(3, dtype)
    calls: list[Callable[[], object]] = [
        lambda: group.all_reduce(array, op),
        lambda: group.reduce(array, 0, op),
        lambda: group.reduce_scatter(array, [array] * group.size, op),
        lambda: group.reduce_scatter_from(array, np.zeros(3 * group.size, dtype), op),
    ]
    for call in calls:
        try:
            call()
        except TypeError as error:
            assert f"Cannot use ReduceOp.{ReduceOp(op).name} with" in str(error), str(error)
        else:
            raise AssertionError(f"{op!r} of {dtype} was not refused")
