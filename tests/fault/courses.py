"""What ranks do together, by every way that data takes: each step checks its own result.

A step is made from a group and then run once; it raises AssertionError for a wrong number, and what
the collectives raise. The ways are forced, so that few bytes make several chunks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import disttorch as torch
from disttorch import nn
from disttorch.comm.algorithms import choice
from disttorch.comm.algorithms.choice import Row, Way
from disttorch.comm.algorithms.plans import PLANS
from disttorch.comm.env import RankEnv, exit_key
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import FileStore
from disttorch.comm.transport.arena import Array
from disttorch.distributed import checkpoint
from disttorch.nn.parallel import DistributedDataParallel
from tests.comm.calls import waited

Step = Callable[[], None]
Make = Callable[[ProcessGroup], Step]

ROOT = 1
_ANY = 1 << 60
# Two or three chunks of a stage, of pieces between hosts, of a ring of messages.
_STAGES, _PIECES, _RINGS = 100_000, 20_000, 70_000


def _data(rank: int, n_items: int) -> Array:
    return np.arange(n_items) % 1000 * (rank + 1.0)


def _check(got: Array, wanted: Array) -> None:
    assert np.array_equal(got, wanted), f"wrong numbers: {got[got != wanted][:5]}"


def _all_reduce(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        array = _data(group.rank, n_items)

        def step() -> None:
            group.all_reduce(array)
            _check(array, sum(_data(rank, n_items) for rank in range(group.size)))

        return step

    return make


def _in_place(group: ProcessGroup) -> Step:
    memory = group.allocate(8 * _STAGES).view(np.float64)
    memory[:] = _data(group.rank, _STAGES)

    def step() -> None:
        group.all_reduce(memory)
        _check(memory, sum(_data(rank, _STAGES) for rank in range(group.size)))

    return step


def _again_and_again(group: ProcessGroup) -> Step:
    """From its third time on, an array may have been moved to where all can write it."""
    array = np.zeros(_STAGES)

    def step() -> None:
        for _ in range(4):
            array[...] = _data(group.rank, _STAGES)
            group.all_reduce(array)
            _check(array, sum(_data(rank, _STAGES) for rank in range(group.size)))

    return step


def _in_background(group: ProcessGroup) -> Step:
    arrays = [_data(group.rank, n_items) for n_items in (3, _STAGES, 5)]

    def step() -> None:
        works = [group.all_reduce(array, async_op=True) for array in arrays]
        while works:
            waited(works.pop(0))
        for array in arrays:
            _check(array, sum(_data(rank, array.size) for rank in range(group.size)))

    return step


def _broadcast(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        array = _data(group.rank, n_items)

        def step() -> None:
            group.broadcast(array, ROOT)
            _check(array, _data(ROOT, n_items))

        return step

    return make


def _reduce(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        array = _data(group.rank, n_items)

        def step() -> None:
            group.reduce(array, ROOT)
            ranks = range(group.size) if group.rank == ROOT else (group.rank,)
            _check(array, sum(_data(rank, n_items) for rank in ranks))

        return step

    return make


def _all_gather(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        outs = [np.zeros(n_items) for _ in range(group.size)]

        def step() -> None:
            group.all_gather(outs, _data(group.rank, n_items))
            for rank, out in enumerate(outs):
                _check(out, _data(rank, n_items))

        return step

    return make


def _reduce_scatter(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        out = np.zeros(n_items)
        rows = [_data(group.rank + 10 * to, n_items) for to in range(group.size)]

        def step() -> None:
            group.reduce_scatter(out, rows)
            wanted = [_data(rank + 10 * group.rank, n_items) for rank in range(group.size)]
            _check(out, sum(wanted))

        return step

    return make


def _all_to_all(n_items: int) -> Make:
    def make(group: ProcessGroup) -> Step:
        out = np.zeros((group.size, n_items))
        rows = np.stack([_data(group.rank + 10 * to, n_items) for to in range(group.size)])

        def step() -> None:
            group.all_to_all_single(out, rows)
            for rank, row in enumerate(out):
                _check(row, _data(rank + 10 * group.rank, n_items))

        return step

    return make


def _gather_and_scatter(group: ProcessGroup) -> Step:
    rows = [np.zeros(_STAGES // 2) for _ in range(group.size)]
    out = np.zeros(_STAGES // 2)

    def step() -> None:
        at_root = rows if group.rank == ROOT else None
        group.gather(_data(group.rank, out.size), at_root, ROOT)
        group.scatter(out, at_root, ROOT)
        _check(out, _data(group.rank, out.size))

    return step


def _objects(group: ProcessGroup) -> Step:
    def step() -> None:
        for rank, (text, array) in enumerate(
            group.all_gather_object(("x" * 10 * group.rank, _data(group.rank, _STAGES)))
        ):
            assert text == "x" * 10 * rank
            _check(array, _data(rank, _STAGES))
        assert group.broadcast_object(group.rank, ROOT) == ROOT
        group.barrier()

    return step


def _messages(group: ProcessGroup) -> Step:
    before, after = (group.rank - 1) % group.size, (group.rank + 1) % group.size
    out, back = np.zeros(_RINGS), np.zeros(3)

    def step() -> None:
        receiving = group.irecv(out, before)
        group.send(_data(group.rank, _RINGS), after)
        receiving.wait()
        _check(out, _data(before, _RINGS))
        sending = group.send(_data(group.rank, 3), before, tag=1, async_op=True)
        group.recv(back, after, tag=1)
        _check(back, _data(after, 3))
        assert sending is not None
        sending.wait()

    return step


def _model(group: ProcessGroup) -> Step:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
    model = DistributedDataParallel(layers, process_group=group, bucket_cap_mb=1e-4)

    def step() -> None:
        model(torch.ones(4, 8)).sum().backward()
        grad = layers[2].bias.grad
        assert grad is not None and (grad == 4).all()

    return step


def folder_of(pid: int) -> str:
    """Where the ranks that a process has started may leave files; for that process to remove."""
    return os.path.join(tempfile.gettempdir(), f"disttorch-stops-{pid}")


def _save(group: ProcessGroup, value: float) -> None:
    state = {"a": torch.full((1000,), value)}
    checkpoint.save(state, checkpoint_id=f"{folder_of(os.getppid())}/saved", process_group=group)


def _checkpoint(group: ProcessGroup) -> Step:
    _save(group, 1.0)
    return lambda: _save(group, 2.0)


def _check_checkpoint() -> None:
    state = {"a": torch.zeros(1000)}
    checkpoint.load(state, checkpoint_id=f"{folder_of(os.getpid())}/saved", no_dist=True)
    assert state["a"].unique().tolist() in ([1.0], [2.0]), "neither the old nor the new checkpoint"


def _store(pid: int) -> FileStore:
    os.makedirs(folder_of(pid), exist_ok=True)
    return FileStore(f"{folder_of(pid)}/store")


def _joining(group: ProcessGroup) -> Step:
    store, env = _store(os.getppid()), RankEnv(int(group.rank), int(group.size))

    def step() -> None:
        with ProcessGroup.from_env(env, store, group.timeout_s) as joined:
            _all_reduce(5)(joined)()

    return step


def _tell_exit(rank: int) -> None:
    """What the launcher does when it has seen the end of a rank."""
    _store(os.getppid()).set(exit_key(0, rank), "ended")


def _memory_and_groups(group: ProcessGroup) -> Step:
    def step() -> None:
        group.allocate(100_000)
        backwards = list(reversed(range(group.size)))
        part = group.new_group(backwards)
        assert part is not None
        try:
            _all_reduce(5)(part)()
        finally:
            part.close()

    return step


@dataclass(frozen=True)
class Course:
    """One row: on which `hosts` the ranks are, which way is `forced`, and what they do."""

    hosts: str
    make: Make
    forced: tuple[str, Way] | None = None
    by_hosts: bool = False
    ended: Callable[[int], None] | None = None
    """What a rank that ends has somebody do."""
    check: Callable[[], None] | None = None
    """What is to be right when all have ended, on the process that started them."""

    def prepare(self, group: ProcessGroup) -> Step:
        """The step of a rank; from now on this process takes only the way that is forced."""
        if self.forced:
            collective, way = self.forced
            for table in (choice.SHARED, choice.WIRE, choice.APART):
                if collective in table:
                    rows: tuple[Row, ...] = ((_ANY, ((_ANY, way),)),)
                    table[collective] = rows
        for collective in choice.BY_HOSTS_ABOVE:
            choice.BY_HOSTS_ABOVE[collective] = 0 if self.by_hosts else _ANY
        return self.make(group)


_OF: dict[str, Callable[[int], Make]] = {
    "all_reduce": _all_reduce,
    "all_gather": _all_gather,
    "all_to_all": _all_to_all,
    "reduce_scatter": _reduce_scatter,
    "broadcast": _broadcast,
    "reduce": _reduce,
}
_WITHOUT_WAYS: dict[str, Make] = {
    "gather and scatter": _gather_and_scatter,
    "objects": _objects,
    "messages": _messages,
    "memory and groups": _memory_and_groups,
    "in place": _in_place,
    "again and again": _again_and_again,
    "in background": _in_background,
    "model": _model,
    "checkpoint": _checkpoint,
    "joining": _joining,
}
_CHECKED: dict[str, Callable[[], None]] = {"checkpoint": _check_checkpoint}
_TOLD: dict[str, Callable[[int], None]] = {"joining": _tell_exit}
_SHARED_WAYS = {
    "all_reduce": (Way.DIRECT, Way.STREAMED, Way.SCATTERED, Way.REACH),
    "all_to_all": (Way.STAGED, Way.REACH),
}


def _one_host(hosts: str) -> Iterator[tuple[str, Course]]:
    for collective, ways in _SHARED_WAYS.items():
        for way in ways:
            made = _OF[collective](_STAGES if way is not Way.STAGED else _STAGES // 10)
            yield f"{collective} {way.value}", Course(hosts, made, (collective, way))
    streamed = Course(hosts, _all_to_all(2 * _STAGES), ("all_to_all", Way.STAGED))
    yield "all_to_all streamed", streamed
    for collective in ("all_gather", "reduce_scatter", "broadcast", "reduce"):
        yield f"{collective} staged", Course(hosts, _OF[collective](_STAGES))


def _apart(hosts: str) -> Iterator[tuple[str, Course]]:
    stepwise = [("all_reduce", way) for way in (Way.DIRECT, Way.SCATTERED)]
    stepwise += [(name, Way.STAGED) for name in _OF if name != "all_reduce"]
    for collective, way in stepwise:
        made = _OF[collective](_STAGES)
        yield f"{collective} {way.value}", Course(hosts, made, (collective, way))
    for collective, way in PLANS:
        made = _OF[collective](_PIECES)
        yield f"{collective} {way.value}", Course(hosts, made, (collective, way))


def _mixed(hosts: str) -> Iterator[tuple[str, Course]]:
    for way in (Way.DIRECT, Way.SCATTERED):
        yield f"all_reduce {way.value}", Course(hosts, _all_reduce(_STAGES), ("all_reduce", way))
    for collective in choice.BY_HOSTS_ABOVE:
        yield f"{collective} by hosts", Course(hosts, _OF[collective](_STAGES), by_hosts=True)
    yield "all_to_all staged", Course(hosts, _all_to_all(_STAGES // 2))


def _table() -> Iterator[tuple[str, Course]]:
    worlds = {"aa": _one_host, "aaa": _one_host, "ab": _apart, "abc": _apart, "aba": _mixed}
    for hosts, ways in worlds.items():
        yield from ((f"{hosts}: {name}", course) for name, course in ways(hosts))
        for name, make in _WITHOUT_WAYS.items():
            course = Course(hosts, make, ended=_TOLD.get(name), check=_CHECKED.get(name))
            yield f"{hosts}: {name}", course


COURSES: dict[str, Course] = dict(_table())
"""By `hosts: name`; `aba` are three ranks of which the first and the last share memory."""
