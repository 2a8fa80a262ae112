from __future__ import annotations

import pytest

import disttorch as torch
from disttorch.utils import benchmark
from disttorch.utils.benchmark import Measurement, Timer


def test_a_block_runs_as_often_as_asked_after_a_warm_up():
    calls = []
    measured = Timer("f()", globals={"f": lambda: calls.append(1)}).timeit(200)
    assert len(calls) == 202
    assert measured.number_per_run == 200
    assert len(measured.raw_times) == 1
    assert measured.mean == measured.median == measured.raw_times[0] / 200


def test_blocks_fill_the_time_asked_for():
    measured = Timer("x + x", "x = torch.ones(4)", globals={"torch": torch}).blocked_autorange(
        min_run_time=0.02
    )
    assert sum(measured.raw_times) >= 0.02
    assert measured.number_per_run >= 1


def test_threads_are_set_back():
    before = torch.get_num_threads()
    seen = []
    Timer("f()", globals={"f": lambda: seen.append(torch.get_num_threads())}).timeit(1)
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_figures_of_a_measurement():
    measured = Measurement(10, [1e-5, 2e-5, 4e-5], "add: small", 2)
    assert measured.median == pytest.approx(2e-6)
    assert measured.iqr == pytest.approx(1.5e-6)
    assert "add: small\n  Median: 2.00 us\n  3 measurements, 10 runs per" in repr(measured)
    assert "2 threads" in repr(measured)


def test_other_languages_are_refused():
    with pytest.raises(ValueError, match="only Python statements"):
        Timer("x;", language="c++")


def test_it_is_reached_from_utils():
    assert torch.utils.benchmark is benchmark
