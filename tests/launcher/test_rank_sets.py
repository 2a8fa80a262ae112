import pytest

from disttorch_launcher.rank_sets import parse_ranks, parse_shown, parse_streams, ranges_text

RANKS = (0, 1, 2, 9, 10, 15, 16)
# text: the streams (out, err) of each of RANKS
STREAMS = {
    "both": [(1, 1)] * 7,
    "3": [(1, 1)] * 7,
    "out": [(1, 0)] * 7,
    "none": [(0, 0)] * 7,
    "0:1,1:2": [(1, 0), (0, 1), *[(0, 0)] * 5],
    "0-15:out": [(1, 0)] * 6 + [(0, 0)],
    "0,10-15:err": [(0, 1), (0, 0), (0, 0), (0, 0), (0, 1), (0, 1), (0, 0)],
    "all:err,2:both": [(0, 1), (0, 1), (1, 1), *[(0, 1)] * 4],
}


@pytest.mark.parametrize("text", STREAMS)
def test_streams(text):
    found = parse_streams(text)
    assert [(found.has(r, 1), found.has(r, 2)) for r in RANKS] == STREAMS[text]


def test_shown_takes_ranks_alone():
    found = parse_shown("0-1,9")
    assert [r for r in RANKS if found.has(r, 1) and found.has(r, 2)] == [0, 1, 9]
    assert parse_shown("all").has(1000, 2)
    assert [parse_shown("0:out,all:err").has(0, s) for s in (1, 2)] == [False, True]


REFUSED = {
    "0:loud": "'loud' is none of out, err, both, none",
    "0-:out": "'0-' is no rank and no range such as 0-3",
    "3-1:out": "the range 3-1 is empty",
    "0:out,3": "the last ranks lack their streams: out, err, both or none",
    "x:1": "'x' is no rank and no range such as 0-3",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    with pytest.raises(ValueError) as error:
        parse_streams(text)
    assert str(error.value) == REFUSED[text]


def test_ranges_read_what_ranges_text_writes():
    for ranks in ([0], [3, 4, 5], [0, 2, 3, 9]):
        ranges = parse_ranks(ranges_text(ranks))
        assert [r for first, last in ranges for r in range(first, last + 1)] == ranks
    assert ranges_text([5, 0, 1, 2, 3]) == "0-3,5"
