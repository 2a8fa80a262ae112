import pytest

from disttorch_launcher.top import TITLES, columns, lateness, rows, straggler, text


def rank(number, calls, **more):
    values = {
        "rank": number, "pid": 100 + number, "cpu_s": 0.0, "rss": 50_000_000, "threads": 2,
        "steps": 0, "samples": 0, "data_ns": 0, "doing": "all_reduce #3", "inside": False,
        "arrived_s": 0.0, "calls": calls,
    }  # fmt: skip
    return values | more


BEFORE = {"now_s": 10.0, "ranks": [rank(0, []), rank(1, [])]}
NOW = {
    "now_s": 12.0,
    "ranks": [
        rank(0, [[10.0, 10.5], [11.0, 11.5]], steps=20, samples=640, data_ns=10**9, cpu_s=1.0),
        rank(1, [[10.4, 10.5], [11.4, 11.5]], steps=20, inside=True, arrived_s=11.8),
    ],
}


def test_rates_and_time_split():
    first, second = rows(BEFORE, NOW)
    assert (first.steps_per_s, first.samples_per_s, first.cpu) == (10.0, 320.0, 0.5)
    assert (first.comm, first.data, first.compute) == (0.5, 0.5, 0.0)
    assert round(second.comm, 6) == 0.2
    assert second.doing.startswith("in all_reduce")


def test_straggler_comes_last_to_collectives():
    assert [round(late, 6) for late in lateness(NOW).values()] == [0.0, 0.4]
    assert straggler(rows(BEFORE, NOW)) == 1
    assert straggler(rows(BEFORE, NOW)[:1]) is None
    assert "rank 1 keeps the others waiting" in text(rows(BEFORE, NOW))


@pytest.mark.parametrize(
    ("n_chars", "missing"),
    [
        (200, set()),
        (84, {"threads", "pid", "rss"}),
        (60, {"threads", "pid", "rss", "cpu", "compute", "samples/s"}),
        (10, set(TITLES) - {"rank", "steps/s", "doing"}),
    ],
)
def test_narrow_terminals_have_the_columns_that_matter(n_chars, missing):
    table = rows(BEFORE, NOW)
    kept = [TITLES[i] for i in columns(table, n_chars, 2)]
    assert kept == [title for title in TITLES if title not in missing]
    lines = text(table, n_chars).splitlines()
    assert lines[0].split() == " ".join(kept).split()
    assert n_chars < 40 or max(map(len, lines[:3])) <= n_chars
    assert columns([], n_chars, 2)[0] == 0


def test_rank_that_has_just_come_has_no_row_yet():
    assert [row.rank for row in rows({"now_s": 1.0, "ranks": [rank(0, [])]}, NOW)] == [0]
    assert lateness({"ranks": [rank(0, []), rank(1, [])]}) == {}


def test_restarted_rank_is_compared_with_nothing_of_the_attempt_before():
    before = {"now_s": 10.0, "ranks": [rank(0, [], steps=500), rank(1, [], steps=500)]}
    again = {"now_s": 12.0, "ranks": [rank(0, [], pid=300, steps=2), rank(1, [], steps=520)]}
    assert [(row.rank, row.steps_per_s) for row in rows(before, again)] == [(1, 10.0)]
