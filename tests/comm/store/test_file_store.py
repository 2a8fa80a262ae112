"""A store in a file whose users are killed, come late, have no room, or lose it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from disttorch.comm.errors import DistStoreError
from disttorch.comm.store import FileStore

MB = 1 << 20


def in_child(body: Callable[[], None]) -> int:
    """Number of a forked process that runs `body` and ends; its status tells whether it raised."""
    pid = os.fork()
    if not pid:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def test_a_file_waits_for_all_ranks_of_its_world(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    early = FileStore(path, 2)
    early.set("k", "v")
    twin = early.clone()
    twin.close()
    early.close()
    late = FileStore(path, 2, timeout_s=5.0)
    assert late.get("k") == b"v"
    assert (late.num_keys(), late.list_keys()) == (1, ["k"])
    late.close()
    assert not os.path.exists(path)


def test_a_file_without_a_world_goes_with_its_last_user(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    first, second = FileStore(path), FileStore(path)
    first.close()
    assert os.path.exists(path)
    second.close()
    assert not os.path.exists(path)


def test_who_comes_just_as_the_last_one_leaves_has_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "store")
    last, unlink = FileStore(path), os.unlink
    coming = threading.Thread(target=lambda: FileStore(path, timeout_s=5.0).set("k", "v"))

    def meanwhile(name: str) -> None:
        monkeypatch.undo()
        coming.start()
        # It has opened the file and waits for the lock.
        while n_open(name) < 2:
            os.sched_yield()
        unlink(name)

    monkeypatch.setattr(os, "unlink", meanwhile)
    last.close()
    coming.join()
    assert FileStore(path, timeout_s=5.0).get("k") == b"v"


def n_open(path: str) -> int:
    """How often this process has a file open."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return links.count(path)


def test_values_of_a_writer_that_is_killed_are_whole_or_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    store, new = FileStore(path, timeout_s=5.0), b"x" * (32 * MB)
    store.set("k", "old")
    n_cut = 0
    for n in range(1, 7):
        before = os.stat(path).st_size
        pid = in_child(lambda: FileStore(path, timeout_s=5.0).set("k", new))
        while os.stat(path).st_size < before + 2 * n * MB:
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        n_cut += os.stat(path).st_size < before + len(new)
        assert store.get("k") in (b"old", new)
        assert store.add("n", 1) == FileStore(path, timeout_s=5.0).add("n", 0) == n
        store.set("k", "old")
    assert n_cut


def test_no_room_is_an_error_after_which_all_see_the_same(tmp_path: Path) -> None:
    """A limit of this process's files stands for a full disk: the write ends half-way."""
    path = str(tmp_path / "store")
    poor, other = FileStore(path, timeout_s=5.0), FileStore(path, timeout_s=5.0)
    poor.set("k", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB, limits[1]))
    try:
        with pytest.raises(DistStoreError, match="cannot write to the store"):
            poor.set("k", b"x" * (2 * MB))
        assert poor.get("k") == other.get("k") == b"old"
        poor.set("k", "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert poor.get("k") == other.get("k") == b"new"
    assert other.add("n", 1) == 1 and poor.add("n", 1) == 2


@pytest.mark.parametrize("how", [os.unlink, lambda path: os.truncate(path, 5)])
def test_a_file_that_is_removed_or_cut_is_an_error(tmp_path: Path, how) -> None:
    path = str(tmp_path / "store")
    store = FileStore(path, timeout_s=5.0)
    store.set("k", "v")
    how(path)
    for call in (lambda: store.get("k"), lambda: store.set("k", "w"), lambda: store.check(["k"])):
        with pytest.raises(DistStoreError, match="was removed or cut short"):
            call()
    store.close()


def test_threads_may_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that read on at once would each count what they have read."""
    path = str(tmp_path / "store")
    store, writer = FileStore(path, timeout_s=5.0), FileStore(path)
    both, pread = threading.Barrier(2), os.pread

    def read_together(*arguments: int) -> bytes:
        data = pread(*arguments)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return data

    writer.set("k", "v")
    monkeypatch.setattr(os, "pread", read_together)
    readers = [threading.Thread(target=store.check, args=(["k"],)) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    monkeypatch.undo()
    writer.set("l", "w")
    assert store.multi_get(["k", "l"]) == [b"v", b"w"]


def test_a_file_goes_with_its_last_user(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    first, second = FileStore(path, 2), FileStore(path, 2)
    first.set("k", "v")
    assert second.get("k") == b"v"
    first.close()
    assert second.get("k") == b"v" and os.path.exists(path)
    second.close()
    assert not os.path.exists(path)
    with pytest.raises(DistStoreError, match="was closed"):
        second.get("k")


def test_a_change_cut_short_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = FileStore(str(path))
    store.set("k", "v")
    with path.open("ab") as log:
        log.write(b"\x05\0\0\0\xff")
    other = FileStore(str(path))
    other.set("k", "w")
    assert store.get("k") == b"w"
    other.close()
    store.close()
