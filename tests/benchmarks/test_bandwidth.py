"""A row of the memory's speed, measured on disttorch alone."""

from benchmarks.run import measure


def test_share_of_the_memory():
    result = measure("all-reduce-1M-share", ["disttorch"], 2)
    assert not result.missing
    first, second = result.samples["disttorch"]
    assert 0 < first == second < 1000
    assert result.ratio is None
