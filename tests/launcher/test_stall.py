import math

from disttorch.comm.status import Record
from disttorch_launcher.stall import check_every_s, suspect, suspect_joining


def record(rank, operation, sequence, begun_s, ended_s=0.0, site="t.py:5", group="world"):
    return Record(
        rank, group, sequence, operation, "SUM", "float32", (4,), -1, site, begun_s, ended_s
    )


def test_rank_that_did_not_come_is_blamed():
    job = {
        0: [record(0, "all_reduce", 1, 1.0, 1.1), record(0, "all_reduce", 2, 2.0)],
        1: [record(1, "all_reduce", 1, 1.0, 1.1, site="t.py:3")],
    }
    assert suspect(job, 11.9, 10.0) is None
    found = suspect(job, 12.0, 10.0)
    assert (found.waiting, found.blamed) == ((0,), (1,))
    assert found.lines({}, {1: 77}) == [
        "disttorch-launch: stalled: rank 0 waits in all_reduce #2 of float32 (4,) at t.py:5 since "
        "10.0 s",
        "  rank 1 (pid 77) has not arrived: its last call, 10.9 s ago, was all_reduce #1 of "
        "float32 (4,) at t.py:3",
        "    does not answer; its stack is not known",
    ]


def test_of_two_missing_ranks_the_one_that_waits_itself_is_not_blamed():
    job = {
        0: [record(0, "all_reduce", 1, 0.0)],
        1: [record(1, "barrier", 1, 1.0, group="pair")],
        2: [],
    }
    found = suspect(job, 20.0, 10.0)
    assert list(found.missing) == [1, 2]
    assert found.blamed == (2,)
    assert "it waits itself, since 19.0 s, in barrier #1" in found.missing[1]
    assert found.missing[2] == "it has made no collective call yet"


def test_all_that_wait_for_each_other_are_blamed():
    job = {
        0: [record(0, "all_reduce", 1, 0.0)],
        1: [record(1, "recv from rank 0", 0, 1.0)],
    }
    assert suspect(job, 20.0, 10.0).blamed == (1,)


def test_message_that_nobody_sends():
    job = {
        0: [record(0, "recv from rank 1", 0, 0.0)],
        1: [record(1, "all_reduce", 1, 0.0, 0.5)],
    }
    found = suspect(job, 20.0, 10.0)
    assert (found.waiting, found.blamed) == ((0,), (1,))


def test_nobody_waits():
    assert suspect({0: [record(0, "all_reduce", 1, 0.0, 0.1)], 1: []}, 20.0, 10.0) is None
    assert suspect({}, 20.0, 10.0) is None


def test_joining():
    alive = frozenset(range(3))
    assert suspect_joining(frozenset(), alive, 99.0, 10.0) is None
    assert suspect_joining(alive, alive, 99.0, 10.0) is None
    assert suspect_joining(frozenset({0, 2}), alive, 9.0, 10.0) is None
    found = suspect_joining(frozenset({0, 2}), alive, 10.0, 10.0)
    assert (found.waiting, found.where, found.blamed) == ((0, 2), "init_process_group", (1,))


def test_how_often_to_look():
    assert [check_every_s(s) for s in (0, 0.4, 4, 100)] == [math.inf, 0.1, 1.0, 2.0]
