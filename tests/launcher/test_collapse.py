import math

from hypothesis import given, settings
from hypothesis import strategies as st

from disttorch_launcher.collapse import MAX_BURST_LINES, WINDOW_S, Collapser


def ready(*items):
    return [(frozenset(ranks), stream, line) for ranks, stream, line in items]


def test_line_of_all_ranks_is_written_at_once():
    collapser = Collapser(3)
    assert collapser.feed(0, 1, b"loaded\n", 0.0) == []
    assert collapser.feed(2, 1, b"loaded\n", 0.01) == []
    assert collapser.feed(1, 1, b"loaded\n", 0.02) == ready(({0, 1, 2}, 1, b"loaded\n"))
    assert collapser.due_s == math.inf


def test_line_of_some_ranks_waits_for_the_others_a_moment():
    collapser = Collapser(3)
    collapser.feed(0, 1, b"a\n", 5.0)
    assert collapser.due_s == 5.0 + WINDOW_S
    collapser.feed(1, 1, b"a\n", 5.05)
    assert collapser.ready(5.09) == []
    assert collapser.ready(5.0 + WINDOW_S) == ready(({0, 1}, 1, b"a\n"))


def test_streams_are_kept_apart():
    collapser = Collapser(2)
    collapser.feed(0, 1, b"a\n", 0.0)
    collapser.feed(1, 2, b"a\n", 0.0)
    assert collapser.flush() == ready(({0}, 1, b"a\n"), ({1}, 2, b"a\n"))


def test_burst_is_passed_on_in_one_piece_behind_what_waited():
    collapser = Collapser(2)
    collapser.feed(0, 1, b"first\n", 0.0)
    burst = b"x\n" * (MAX_BURST_LINES + 1)
    assert collapser.feed(0, 1, burst, 0.0) == ready(({0}, 1, b"first\n"), ({0}, 1, burst))


LINES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([b"a\n", b"b\n", b"c\n"])))


@settings(max_examples=300, deadline=None)
@given(LINES)
def test_each_rank_keeps_its_lines_and_their_order(said):
    collapser, out = Collapser(3), []
    for i, (rank, line) in enumerate(said):
        out += collapser.feed(rank, 1, line, i * 0.03)
    out += collapser.flush()
    for rank in range(3):
        written = [line for ranks, _, line in out if rank in ranks]
        assert written == [line for r, line in said if r == rank]
