"""Spans of time: noted, cut, merged and compared."""

import pytest

from disttorch.comm import phases


@pytest.fixture(autouse=True)
def _no_spans():
    phases.clear()
    yield
    phases.clear()


def test_spans_are_told_apart_by_phase():
    phases.note(phases.BACKWARD, 0.0)
    phases.note(phases.OPTIMISER, 1.0)
    ((begun_s, ended_s),) = phases.spans(phases.BACKWARD)
    assert begun_s == 0.0 < ended_s
    assert [begin for begin, _ in phases.spans(phases.OPTIMISER)] == [1.0]
    assert phases.spans(phases.DATA) == []


def test_a_step_ends_with_the_optimiser_that_stepped_last():
    assert phases.step_ends() == []
    for who in (1, 2, 1, 2, 2):
        phases.note(phases.OPTIMISER, 0.0, id(who))
    ends = [end for _, end in phases.spans(phases.OPTIMISER)]
    assert phases.step_ends() == [ends[1], ends[3], ends[4]]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(1, 2), (3, 4)], [(1, 2), (3, 4)]),
        ([(3, 4), (1, 2)], [(1, 2), (3, 4)]),
        ([(1, 5), (2, 3)], [(1, 5)]),
        ([(1, 3), (2, 4)], [(1, 4)]),
        ([(-5, 1), (9, 20)], [(0, 1), (9, 10)]),
        ([(-5, -1), (11, 20)], []),
    ],
)
def test_merged(spans, expected):
    assert phases.merged(spans, 0, 10) == expected


def test_common():
    assert phases.common([(0, 4), (6, 8)], [(2, 7)]) == [(2, 4), (6, 7)]
    assert phases.length_s([(2, 4), (6, 7)]) == 3
