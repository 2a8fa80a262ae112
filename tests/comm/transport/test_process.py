"""Liveness of processes, with pidfds and without."""

import errno
import os

import pytest

from disttorch.comm.transport.process import ProcessId, ProcessWatch


@pytest.fixture(params=["pidfd", "no pidfd"])
def _pidfd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no pidfd":

        def missing(_: int) -> int:
            raise OSError(errno.ENOSYS, "not on this kernel")

        monkeypatch.setattr(os, "pidfd_open", missing)


def child() -> tuple[int, int, ProcessId]:
    """A child that lives until a byte or the end of its pipe: its pid, the pipe, its identity."""
    read_end, write_end = os.pipe()
    back, front = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_end)
        identity = ProcessId.current()
        os.write(front, f"{identity.pid} {identity.start_ticks}".encode())
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    os.close(front)
    number, ticks = os.read(back, 100).split()
    os.close(back)
    return pid, write_end, ProcessId(int(number), int(ticks), ProcessId.current().host)


@pytest.mark.usefixtures("_pidfd")
def test_an_end_is_seen_as_soon_as_it_happens() -> None:
    pid, pipe, identity = child()
    own = ProcessId.current()
    watch = ProcessWatch({3: identity, 4: own})
    assert watch.ended() == set()
    os.close(pipe)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert watch.ended() == {3}
    os.waitpid(pid, 0)
    assert watch.ended() == {3}
    assert (watch.pid(3), watch.pid(9)) == (pid, 0)
    watch.close()


@pytest.mark.usefixtures("_pidfd")
def test_another_process_under_the_same_number_is_not_the_peer() -> None:
    own = ProcessId.current()
    watch = ProcessWatch({0: ProcessId(own.pid, own.start_ticks + 1, own.host)})
    assert watch.ended() == {0}
    watch.close()


def test_a_process_that_is_gone_counts_as_ended() -> None:
    pid, pipe, identity = child()
    os.close(pipe)
    os.waitpid(pid, 0)
    watch = ProcessWatch({0: identity})
    assert watch.ended() == {0}


def test_dropping_a_watch_closes_its_descriptors() -> None:
    pid, pipe, identity = child()
    before = len(os.listdir("/proc/self/fd"))
    watch = ProcessWatch({0: identity})
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del watch
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(pipe)
    os.waitpid(pid, 0)


def test_the_identity_is_that_of_this_process() -> None:
    assert ProcessId.current().pid == os.getpid()
    assert ProcessId.current() == ProcessId.current()
