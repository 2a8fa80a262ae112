"""Ways take turns, each after a rewrite and a barrier; the slowest rank counts."""

import pytest

from benchmarks.interleave import interleaved, rounds_within, slowest


def test_ways_take_turns():
    seen = []
    ways = {name: lambda name=name: seen.append(name) for name in "ab"}
    taken = interleaved(ways, lambda: seen.append("p"), lambda: seen.append("|"), 3)
    assert "".join(seen) == "p|ap|b" + "p|bp|a" + "p|ap|b"
    assert {name: len(samples) for name, samples in taken.items()} == {"a": 3, "b": 3}
    assert all(seconds >= 0 for samples in taken.values() for seconds in samples)


def test_the_slowest_rank_of_each_round_counts():
    ranks = [{"a": [1.0, 5.0, 2.0], "b": [1.0, 1.0, 1.0]}, {"a": [3.0, 1.0, 4.0], "b": [2.0] * 3}]
    assert slowest(ranks) == {"a": 4.0, "b": 2.0}


@pytest.mark.parametrize(
    ("seconds", "one_round_s", "rounds"), [(1, 0.25, 4), (1, 9, 3), (1, 1e-6, 20), (1, 0, 20)]
)
def test_rounds_within(seconds, one_round_s, rounds):
    assert rounds_within(seconds, one_round_s, 3, 20) == rounds
