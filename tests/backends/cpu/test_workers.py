"""Threads that share the pieces of an operation: all pieces, errors, settings, forked processes."""

import os
import threading
import weakref

import pytest

import disttorch as torch
from disttorch.backends.cpu import threads, workers


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_each_piece_is_done_once(n, n_threads):
    done = []
    workers.run_pieces(done.append, n, n_threads)
    assert sorted(done) == list(range(n))


def test_several_threads_take_part():
    meeting = threading.Barrier(3)
    workers.run_pieces(lambda _: meeting.wait(30), 3, 3)
    assert meeting.broken is False


def test_an_error_reaches_the_caller_and_the_threads_go_on():
    def work(i):
        if i == 5:
            raise ValueError("piece 5")

    with pytest.raises(ValueError, match="piece 5"):
        workers.run_pieces(work, 10, 2)
    done = []
    workers.run_pieces(done.append, 4, 2)
    assert sorted(done) == [0, 1, 2, 3]


def test_nothing_of_a_finished_operation_is_kept():
    class Array:
        pass

    array = Array()
    died = threading.Event()
    weakref.finalize(array, died.set)
    meeting = threading.Barrier(2)
    workers.run_pieces(lambda _, held=array: meeting.wait(30), 2, 2)
    del array
    assert died.wait(30)


def test_pieces_within_pieces_run_in_the_thread_at_hand():
    seen = []

    def outer(i):
        workers.run_pieces(lambda j: seen.append((i, j)), 3, 2)

    workers.run_pieces(outer, 4, 2)
    assert sorted(seen) == [(i, j) for i in range(4) for j in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_its_own_threads():
    workers.run_pieces(lambda _: None, 4, 2)
    pid = os.fork()
    if not pid:
        done = []
        workers.run_pieces(done.append, 50, 2)
        os._exit(sorted(done) != list(range(50)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_one_setting_for_all_threads(monkeypatch):
    monkeypatch.setattr(threads, "_openblas", lambda: None)
    monkeypatch.setattr(threads._Setting, "n", None)
    assert torch.get_num_threads() == threads.usable_cores()
    torch.set_num_threads(3)
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        torch.set_num_threads(0)
