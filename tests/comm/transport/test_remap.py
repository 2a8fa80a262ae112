"""Pages of arrays in memory that others map: contents, forks, late writers, what is left behind."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.transport import remap
from disttorch.comm.transport import segment as segment_module
from disttorch.comm.transport.process import ProcessId
from disttorch.comm.transport.remap import Region
from disttorch.comm.transport.segment import map_peer

N_BYTES = 20 * mmap.PAGESIZE + 24
USER = 1


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remap, "_PATIENCE", 1)
    yield
    gc.collect()
    assert not any(span.region and span.region.shared for span in remap._registry.spans.values())


def array() -> np.ndarray:
    return np.arange(N_BYTES, dtype=np.uint8)


def moved(flat: np.ndarray) -> Region:
    """A region for the whole pages of an array, in nobody's use."""
    while not remap.wanted(flat):
        pass
    region = remap.move(flat, USER)
    region.users.clear()
    return region


def seen_by_peer(region: Region) -> np.ndarray:
    memory = map_peer(ProcessId.current(), region.segment.fd, region.nbytes)
    return np.frombuffer(memory, np.uint8)


def in_child(body: Callable[[], bool], fork: Callable[[], int] = os.fork) -> int:
    """The wait status of a forked child: 0 if `body` is true there."""
    pid = fork()
    if pid == 0:
        try:
            os._exit(0 if body() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1]


def test_contents_and_address_stay_and_both_sides_see_each_other() -> None:
    flat, expected = array(), array()
    address = flat.ctypes.data
    region = moved(flat)
    assert flat.ctypes.data == address
    np.testing.assert_array_equal(flat, expected)
    peer, at = seen_by_peer(region), region.start - address
    peer[3] = 200
    assert flat[at + 3] == 200
    flat[at + 5] = 201
    assert peer[5] == 201
    assert 0 <= at < mmap.PAGESIZE and N_BYTES - region.nbytes < 2 * mmap.PAGESIZE


def test_an_array_is_wanted_after_some_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remap, "_PATIENCE", 3)
    flat = array()
    assert [remap.wanted(flat) for _ in range(5)] == [False] * 3 + [True] * 2
    assert remap.find(flat) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.frombuffer(mmap.mmap(-1, N_BYTES), np.uint8),
        lambda: np.frombuffer(bytearray(N_BYTES), np.uint8),
        lambda: np.ctypeslib.as_array((ctypes.c_ubyte * N_BYTES)()),
    ],
    ids=["mmap", "bytearray", "ctypes"],
)
def test_memory_that_numpy_does_not_own_is_left_alone(make: Callable[[], np.ndarray]) -> None:
    flat = make()
    assert not any(remap.wanted(flat) for _ in range(5))


def test_parts_of_a_region_lie_in_it_and_what_overlaps_one_stays_outside() -> None:
    flat = array()
    low = flat[: -4 * mmap.PAGESIZE]
    region = moved(low)
    assert remap.find(low[mmap.PAGESIZE :]) is region
    assert remap.find(flat) is None
    assert not any(remap.wanted(flat) for _ in range(5))


def test_a_dying_array_frees_the_memory_though_a_peer_has_it_mapped() -> None:
    flat = array()
    region = moved(flat)
    peer = seen_by_peer(region)
    fd = os.dup(region.segment.fd)
    assert os.fstat(fd).st_blocks > 0
    del flat
    assert os.fstat(fd).st_blocks == 0
    peer[0] = 1
    os.close(fd)


def test_thousands_of_arrays_leave_nothing_behind() -> None:
    def state() -> tuple[int, int, int, int]:
        with open("/proc/self/maps") as maps:
            n_maps = sum("memfd:disttorch" in line for line in maps)
        return (
            len(os.listdir("/proc/self/fd")),
            n_maps,
            len(remap._registry.spans),
            len(remap._registry.moved),
        )

    before = state()
    for _ in range(300):
        moved(array())
    assert state() == before


def test_no_more_than_some_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remap, "_MOST_REGIONS", 2)
    kept = [array() for _ in range(3)]
    for flat in kept[:2]:
        moved(flat)
    assert not any(remap.wanted(kept[2]) for _ in range(5))
    del kept[0], flat
    assert remap.wanted(kept[1])


def test_no_more_than_some_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remap, "_MOST_SPANS", 4)
    kept = [array() for _ in range(20)]
    region = moved(kept[0])
    for flat in kept:
        remap.wanted(flat)
    assert len(remap._registry.spans) <= 4
    assert remap.find(kept[0]) is region


def test_after_a_fork_neither_side_sees_what_the_other_writes() -> None:
    flat, expected = array(), array()
    region = moved(flat)
    parent_goes, child_goes = os.pipe(), os.pipe()

    def child() -> bool:
        before = np.array_equal(flat, expected)
        flat[:] = 7
        os.write(child_goes[1], b"x")
        os.read(parent_goes[0], 1)
        return before and bool((flat == 7).all())

    pid = os.fork()
    if pid == 0:
        os._exit(0 if child() else 1)
    os.read(child_goes[0], 1)
    np.testing.assert_array_equal(flat, expected)
    flat[:] = 9
    os.write(parent_goes[1], b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert (flat == 9).all()
    assert not region.shared and remap.find(flat) is None
    for fd in (*parent_goes, *child_goes):
        os.close(fd)


def test_a_child_sees_the_moment_of_the_fork_and_may_drop_the_array() -> None:
    held = [array()]
    moved(held[0])
    ready = os.pipe()

    def child() -> bool:
        os.read(ready[0], 1)
        same = np.array_equal(held[0], array())
        held.clear()
        return same

    pid = os.fork()
    if pid == 0:
        os._exit(0 if child() else 1)
    held[0][:] = 5
    held.clear()
    os.write(ready[1], b"x")
    assert os.waitpid(pid, 0)[1] == 0
    for fd in ready:
        os.close(fd)


def test_after_a_fork_an_array_is_waited_for_twice_as_long_and_moves_again() -> None:
    flat = array()
    first = moved(flat)
    assert in_child(lambda: True) == 0
    assert [remap.wanted(flat) for _ in range(4)] == [False, False, True, True]
    flat[:] = 3
    region = remap.move(flat, USER)
    region.users.clear()
    assert region is not first and remap.find(flat) is region
    assert (seen_by_peer(region) == 3).all() and (flat == 3).all()


def test_a_region_in_use_stays_shared_through_a_fork_but_not_with_the_child() -> None:
    flat = array()
    region = moved(flat)
    assert region.use(USER)
    peer = seen_by_peer(region)

    def child() -> bool:
        flat[:] = 99
        return bool((flat == 99).all()) and remap.find(flat) is None

    assert in_child(child) == 0
    np.testing.assert_array_equal(flat, array())
    peer[0] = 77
    assert region.shared and flat[region.start - flat.ctypes.data] == 77
    region.users.clear()


def test_a_region_that_is_private_by_now_cannot_be_used() -> None:
    flat = array()
    region = moved(flat)
    assert in_child(lambda: True) == 0
    assert not region.use(USER) and not region.users


def test_in_a_child_that_python_knows_nothing_of_the_pages_are_missing() -> None:
    flat = array()
    moved(flat)

    def child() -> bool:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        flat[:] = 1
        return True

    status = in_child(child, fork=ctypes.PyDLL(None).fork)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    np.testing.assert_array_equal(flat, array())


def test_what_was_copied_out_is_safe_from_late_writers() -> None:
    flat = array()
    region = moved(flat)
    peer = seen_by_peer(region)
    region.copy_out()
    peer[:] = 0
    np.testing.assert_array_equal(flat, array())
    assert remap.find(flat) is None


def test_what_fails_on_one_part_takes_nothing_from_another_under_way() -> None:
    flat = array()
    region = moved(flat)
    peer, at = seen_by_peer(region), region.start - flat.ctypes.data
    assert region.use(1)
    assert region.use(2)
    region.leave(1, failed=True)
    assert not region.use(3)
    peer[5] = 201
    assert flat[at + 5] == 201
    region.leave(2, failed=False)
    peer[5] = 202
    assert (flat[at + 5], region.shared) == (201, False)


def test_an_array_does_not_die_amid_a_fork_of_another_thread() -> None:
    held = [array()]
    region = moved(held[0])
    with remap._registry.lock:  # as from before a fork to after it
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert region.shared
    thread.join(10)
    assert not region.shared


def test_without_memory_for_a_copy_what_is_written_from_then_on_is_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    flat = array()
    region = moved(flat)
    peer = seen_by_peer(region)
    monkeypatch.setattr(remap, "_replace_by_copy", full)
    region.copy_out()
    flat[:] = 6
    peer[:] = 0
    assert (flat == 6).all() and not region.shared


def test_an_array_that_is_waited_for_no_more_still_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remap, "_MOST_SPANS", 1)
    flat, other = array(), array()
    while not remap.wanted(flat):
        pass
    remap.wanted(other)
    region = remap.move(flat, USER)
    region.users.clear()
    assert remap.find(flat) is region


@pytest.mark.parametrize("what", ["available", "write", "map"])
def test_without_memory_the_array_stays_as_it_is(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    flat = array()
    while not remap.wanted(flat):
        pass
    before = sorted(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        if what == "available":
            patch.setattr(segment_module, "_CHECK_ABOVE_BYTES", 0)
            patch.setattr(segment_module, "_available_nbytes", lambda: 4096)
        elif what == "write":
            patch.setattr(os, "pwrite", full)
        else:
            patch.setattr(remap, "_map", full)
        with pytest.raises(SharedMemoryError):
            remap.move(flat, USER)
    assert sorted(os.listdir("/proc/self/fd")) == before
    np.testing.assert_array_equal(flat, array())
    assert remap.find(flat) is None


def test_numpy_resizes_no_array_that_is_waited_for() -> None:
    flat = array()
    remap.wanted(flat)
    with pytest.raises(ValueError, match="resize"):
        flat.resize(2 * N_BYTES, refcheck=False)
