import os
import time

import pytest

from disttorch.comm import counters, phases


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
    phases.clear()
    counters.batch_came(time.monotonic_ns() - 1000, 8)
    assert len(phases.spans(phases.DATA)) == 1  # also without a launcher
    board = counters.CounterBoard(1)
    counters.count_in(board.page(0))
    for _ in range(3):
        counters.batch_came(time.monotonic_ns() - 1000, 8)
    assert board.read(0)["samples"] == 24 and board.read(0)["data_ns"] >= 3000
    assert all(end - begin >= 1e-6 for begin, end in phases.spans(phases.DATA))
