import os

import pytest

from disttorch.comm import counters


@pytest.fixture(autouse=True)
def _no_page(monkeypatch):
    monkeypatch.setattr(counters, "page", None)


def test_what_a_rank_counts_is_read_by_others():
    board = counters.CounterBoard(3)
    page = board.page(1)
    page.add(counters.STEPS, 2)
    page.add(counters.DATA_NS, 5)
    page.add(counters.STEPS, 1)
    assert board.read(1) == {"steps": 3, "samples": 0, "data_ns": 5}
    assert board.read(0) == board.read(2) == {"steps": 0, "samples": 0, "data_ns": 0}
    board.clear()
    assert board.read(1)["steps"] == 0


def test_forked_processes_count_nothing():
    board = counters.CounterBoard(1)
    page = board.page(0)
    page.pid = os.getpid() + 1
    page.add(counters.STEPS, 2)
    assert board.read(0)["steps"] == 0


def test_batches_are_counted_with_the_wait_for_them():
    assert list(counters.counted([1, 2], 8)) == [1, 2]
    board = counters.CounterBoard(1)
    counters.count_in(board.page(0))
    assert list(counters.counted([1, 2, 3], 8)) == [1, 2, 3]
    assert board.read(0)["samples"] == 24 and board.read(0)["data_ns"] > 0
