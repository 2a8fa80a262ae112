"""The benchmark of single operators: what it measures, and a row of each kind."""

import time

import pytest

import disttorch
from benchmarks import large_arrays


def test_the_fastest_call_of_each_counts():
    delays = iter([0, 0.02, 0.001, 0.02])
    slow, quick = large_arrays.fastest(
        [lambda: time.sleep(0.005), lambda: time.sleep(next(delays, 0.02))], seconds=0
    )
    assert quick < 0.005 <= slow


def test_with_a_pause_the_call_before_the_timed_one_wakes_the_threads(monkeypatch):
    pauses, calls = [], []
    monkeypatch.setattr(large_arrays.time, "sleep", pauses.append)
    large_arrays.fastest([lambda: calls.append("x")], seconds=0, pause_s=0.25)
    assert pauses == [0.25] * 3  # as many as there are rounds
    assert len(calls) == 1 + 2 * 3


@pytest.mark.parity
def test_a_row_of_each_kind(monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    libraries = disttorch, torch
    threads = [library.get_num_threads() for library in libraries]
    monkeypatch.setattr(large_arrays, "SHAPE", (20, 30))
    arguments = ["--only", "^(tanh|sum 1|max_pool|SGD)$", "--threads", "1", "--seconds", "0"]
    try:
        assert large_arrays.main(arguments) == 0
    finally:
        for library, n in zip(libraries, threads, strict=True):
            library.set_num_threads(n)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1::2]] == ["tanh", "sum", "max_pool", "SGD"]
    assert all(float(line.split()[-1]) > 0 for line in lines[1:])
