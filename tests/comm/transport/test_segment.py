"""Shared segments: opened by peers, sealed, refused when memory is short, nothing left behind."""

import mmap
import os

import pytest

from disttorch.comm.errors import SharedMemoryError
from disttorch.comm.transport import segment as segment_module
from disttorch.comm.transport.process import ProcessId
from disttorch.comm.transport.segment import Segment, map_peer


@pytest.fixture
def segment():
    made = Segment(3 * mmap.PAGESIZE, mmap.PAGESIZE)
    yield made
    made.close_fd()
    made.memory.close()


def test_a_peer_sees_what_the_owner_writes(segment: Segment) -> None:
    peer = map_peer(ProcessId.current(), segment.fd, segment.nbytes, populate=True)
    segment.memory[5:8] = b"abc"
    assert peer[5:8] == b"abc"
    peer[-1] = 7
    assert segment.memory[-1] == 7


def test_mappings_outlive_the_descriptor() -> None:
    made = Segment(10, 10)
    peer = map_peer(ProcessId.current(), made.fd, 10)
    made.close_fd()
    made.close_fd()
    peer[0] = 1
    assert made.memory[0] == 1


def test_nobody_can_shrink_it_under_its_users(segment: Segment) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(segment.fd, 0)


def test_reserving_allocates_pages(segment: Segment) -> None:
    before = os.fstat(segment.fd).st_blocks
    segment.reserve(mmap.PAGESIZE, 2 * mmap.PAGESIZE)
    segment.reserve(0, 0)
    assert os.fstat(segment.fd).st_blocks == 3 * before


def test_too_much_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "_available_nbytes", lambda: 20 << 20)
    with pytest.raises(SharedMemoryError, match="20971520 bytes of memory are available"):
        Segment(64 << 20, 64 << 20)


def test_a_failed_allocation_closes_its_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(SharedMemoryError, match="No space left on device"):
        Segment(100, 100)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_what_is_not_the_announced_segment_is_refused(segment: Segment, tmp_path) -> None:
    here = ProcessId.current()
    with open(tmp_path / "file", "w+b") as other:
        other.truncate(segment.nbytes)
        for fd, nbytes in ((other.fileno(), segment.nbytes), (segment.fd, segment.nbytes + 1)):
            with pytest.raises(SharedMemoryError, match="not the segment announced"):
                map_peer(here, fd, nbytes)
    with pytest.raises(SharedMemoryError, match="cannot open the shared memory of process"):
        map_peer(ProcessId(2**22 + 1, 0, here.host), 3, 10)
