"""Forked children and the memory that ranks share."""

import mmap
import os

import numpy as np

from disttorch.comm.transport import own_copy
from disttorch.comm.transport.segment import Segment

PAGE = mmap.PAGESIZE


def in_a_child(body):
    """The status of a forked child that runs `body`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kept(value):
    segment = Segment(2 * PAGE, 0)
    own_copy.keep_from_children(segment)
    memory = np.frombuffer(segment.memory, np.uint8)
    memory[:] = value
    return memory


def test_a_child_reads_what_was_there_and_changes_nothing():
    memory = kept(3)

    def body():
        assert (memory == 3).all()
        memory[:] = 9
        assert (memory == 9).all()

    assert in_a_child(body) == 0
    assert (memory == 3).all()


def test_a_child_of_a_child_sees_what_that_wrote():
    memory = kept(3)

    def body():
        memory[:] = 9

        def inner():
            assert (memory == 9).all()

        assert in_a_child(inner) == 0

    assert in_a_child(body) == 0


def test_descriptors_are_closed_with_the_memory():
    before = set(os.listdir("/proc/self/fd"))
    memory = kept(0)
    assert len(own_copy._kept) == 1
    del memory
    assert not own_copy._kept
    assert set(os.listdir("/proc/self/fd")) == before
