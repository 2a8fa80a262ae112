"""Ranks in step: random sequences of collectives on random groups, against plain NumPy.

The ranks of one process group live through all examples. If an example fails, its group may be
unusable, so the next one, to which hypothesis shrinks it, runs on new ranks.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disttorch.comm.errors import CollectiveTimeoutError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp
from disttorch.comm.transport.arena import Condition
from tests.comm.ranks import RankFailed, StandingRanks, run_ranks

Arrays = list[np.ndarray]
DTYPES = [np.dtype(t) for t in ("u1", "i4", "f4", "f8", "f2", "?", "c8", ml_dtypes.bfloat16)]
# Small, one item, none, and more than one stage of 512 KiB holds.
SIZES = [0, 1, 2, 5, 63, 1000, 5003, 150_001]
WINDOW_BYTES = max(SIZES) * 8


@dataclass(frozen=True)
class Step:
    """One collective of group number `group`, on arrays made from `seed`."""

    group: int
    name: str
    dtype: np.dtype
    size: int
    op: ReduceOp
    root: int
    seed: int
    form: str


@dataclass(frozen=True)
class Program:
    """What all ranks do: make the groups, then take the steps, those in the background last."""

    groups: list[list[int]]
    steps: list[Step]


def held(step: Step, rank: int, n_rows: int = 1) -> np.ndarray:
    """The rows that a rank brings; small integers, whose sums every dtype holds exactly."""
    random = np.random.default_rng([step.seed, rank])
    return random.integers(0, 4, (n_rows, step.size)).astype(step.dtype)


def reduced(step: Step, rows: Arrays) -> np.ndarray:
    """All ranks' rows reduced in a wide dtype."""
    if step.dtype.kind == "b":
        return np.any(rows, axis=0) if step.op is not ReduceOp.PRODUCT else np.all(rows, axis=0)
    wide = np.stack(rows).astype(np.complex128)
    if step.op is ReduceOp.PRODUCT:
        return wide.prod(0).astype(wide.dtype).real.astype(step.dtype)
    if step.op is ReduceOp.MAX:
        return wide.real.max(0).astype(step.dtype)
    return wide.sum(0).real.astype(step.dtype)


def laid_out(step: Step, array: np.ndarray, window: np.ndarray) -> np.ndarray:
    """`array` as the step wants it: on its own, strided, or in allocated memory."""
    if step.form == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if step.form == "window":
        place = window[: array.nbytes].view(array.dtype).reshape(array.shape)
        place[...] = array
        return place
    return array


def all_reduce(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    array = laid_out(step, held(step, group.rank)[0], window)
    work = group.all_reduce(array, step.op, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        wanted = reduced(step, [held(step, r)[0] for r in range(group.size)])
        np.testing.assert_array_equal(array, wanted)

    return check


def reduce(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    array = laid_out(step, held(step, group.rank)[0], window)
    work = group.reduce(array, step.root, step.op, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        rows = [held(step, r)[0] for r in range(group.size)]
        wanted = reduced(step, rows) if group.rank == step.root else rows[group.rank]
        np.testing.assert_array_equal(array, wanted)

    return check


def broadcast(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    array = laid_out(step, held(step, group.rank)[0], window)
    work = group.broadcast(array, step.root, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        np.testing.assert_array_equal(array, held(step, step.root)[0])

    return check


def all_gather(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    outputs = [np.zeros(step.size, step.dtype) for _ in range(group.size)]
    array = laid_out(step, held(step, group.rank)[0], window)
    work = group.all_gather(outputs, array, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        for rank, output in enumerate(outputs):
            np.testing.assert_array_equal(output, held(step, rank)[0])

    return check


def reduce_scatter(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    output = laid_out(step, np.zeros(step.size, step.dtype), window)
    rows = list(held(step, group.rank, group.size))
    work = group.reduce_scatter(output, rows, step.op, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        columns = [held(step, r, group.size)[group.rank] for r in range(group.size)]
        np.testing.assert_array_equal(output, reduced(step, columns))

    return check


def all_to_all(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    """In place: a rank's rows are overwritten with those that the others meant for it."""
    rows = held(step, group.rank, group.size)
    work = group.all_to_all_single(rows, rows, async_op=step.form == "background")

    def check() -> None:
        finish(work)
        columns = [held(step, r, group.size)[group.rank] for r in range(group.size)]
        np.testing.assert_array_equal(rows, np.stack(columns))

    return check


def send_around(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    """Everyone sends to the next rank, with receives posted first."""
    if group.size == 1:
        return lambda: None
    before, after = (group.rank - 1) % group.size, (group.rank + 1) % group.size
    got = laid_out(step, np.zeros(step.size, step.dtype), window).copy()
    works = [group.irecv(got, before if step.root else None, step.seed)]
    sent = laid_out(step, held(step, group.rank)[0], window)
    if step.form == "background" or got.nbytes > 100_000:
        works.append(group.send(sent, after, step.seed, async_op=True))
    else:
        group.send(sent, after, step.seed)

    def check() -> None:
        for work in works:
            finish(work)
        np.testing.assert_array_equal(got, held(step, before)[0])

    return check


def objects(step: Step, group: ProcessGroup, window: np.ndarray) -> Callable[[], None]:
    mine = (group.rank, laid_out(step, held(step, group.rank)[0], window))

    def check() -> None:
        wanted = [(r, held(step, r)[0]) for r in range(group.size)]
        np.testing.assert_equal(gathered, wanted)
        np.testing.assert_equal(told, wanted[step.root])

    gathered = group.all_gather_object(mine)
    told = group.broadcast_object(mine, step.root)
    return check


CALLS = {
    call.__name__: call
    for call in (
        all_reduce, reduce, broadcast, all_gather, reduce_scatter, all_to_all, send_around, objects
    )
}  # fmt: skip


def finish(work: Any) -> None:
    if work is not None:
        assert work.wait(30.0)


def run(world: ProcessGroup, program: Program) -> None:
    """Live through a program; raises AssertionError where a result is not the model's."""
    made = [world.new_group(members) for members in program.groups]
    groups = [world, *made]
    windows = [group and group.allocate(WINDOW_BYTES) for group in groups]
    checks = []
    for step in program.steps:
        group, window = groups[step.group], windows[step.group]
        if group is None:
            continue
        check = CALLS[step.name](step, group, window)
        if step.form == "background":
            checks.append(check)
        else:
            check()
    for check in checks:
        check()
    for group in made:
        if group is not None:
            # Whoever is slow must not find that the others have left.
            group.barrier()
            group.close()


@st.composite
def programs(draw: st.DrawFn, n_ranks: int) -> Program:
    subsets = st.lists(st.integers(0, n_ranks - 1), min_size=1, max_size=n_ranks, unique=True)
    groups = draw(st.lists(subsets, max_size=2))
    sizes = [n_ranks, *map(len, groups)]
    steps = []
    for seed in range(draw(st.integers(1, 8))):
        group = draw(st.integers(0, len(groups)))
        dtype = draw(st.sampled_from(DTYPES))
        ops = [ReduceOp.SUM, ReduceOp.PRODUCT, ReduceOp.MAX][: 2 if dtype.kind == "c" else 3]
        steps.append(
            Step(
                group,
                draw(st.sampled_from(sorted(CALLS))),
                dtype,
                draw(st.sampled_from(SIZES)),
                draw(st.sampled_from(ops)),
                draw(st.integers(0, sizes[group] - 1)),
                seed,
                draw(st.sampled_from(["plain", "plain", "strided", "window", "background"])),
            )
        )
    return Program(groups, steps)


@pytest.mark.parametrize("n_ranks", [2, 3, 4])
def test_any_sequence_on_any_groups_equals_the_model(n_ranks: int) -> None:
    standing: list[StandingRanks] = []

    @given(programs(n_ranks))
    @settings(max_examples=240 // n_ranks, deadline=None, database=None)
    def example(program: Program) -> None:
        if not standing:
            standing.append(StandingRanks(n_ranks, run))
        try:
            standing[0].tell(program)
        except RankFailed:
            standing.pop().close()
            raise

    try:
        example()
    finally:
        for ranks in standing:
            ranks.close()


def test_who_has_come_and_left_is_not_missed() -> None:
    """Rank 2 comes and leaves just while rank 0, which waits for rank 1 as well, looks around."""
    flags = np.frombuffer(mmap.mmap(-1, 16), np.int64)

    def body(group: ProcessGroup) -> tuple[int, ...]:
        mesh = group._mesh
        group.barrier()
        if group.rank == 2:
            _yield_until(lambda: flags[0])
            mesh._flag[0] = mesh._step + 1
            group.close()
        if group.rank:
            _yield_until(lambda: flags[1])
            return ()
        ended = mesh._ended

        def meanwhile() -> set[int]:
            flags[0] = 1
            _yield_until(lambda: mesh.pages[2].condition()[0] is not Condition.ACTIVE)
            return ended()

        mesh._ended = meanwhile
        try:
            with pytest.raises(CollectiveTimeoutError) as caught:
                group.barrier(timeout_s=0.3)
        finally:
            flags[1] = 1
        return caught.value.ranks

    assert run_ranks(3, body)[0] == (1,)


def _yield_until(ready: Callable[[], object]) -> None:
    while not ready():
        os.sched_yield()
