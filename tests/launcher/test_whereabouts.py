import json
from dataclasses import replace

from disttorch.comm.status import Record
from disttorch_launcher.stall import suspect
from disttorch_launcher.whereabouts import Whereabouts, merged, pack, unpack


def record(rank, sequence, begun_s, ended_s=0.0, operation="all_reduce", group="world"):
    return Record(
        rank, group, sequence, operation, "SUM", "float32", (4, 2), -1, "t.py:5", begun_s, ended_s
    )


def place(records, stacks=()):
    alive = frozenset(records)
    return Whereabouts(alive, alive, 90.0, records, stacks)


def heard(told, host, seen_s):
    """What another host makes of it, by way of the store."""
    return unpack(json.loads(json.dumps(pack(told, 3, 100.0))), host, seen_s)


def test_what_is_told_arrives_in_times_of_the_other_clock():
    told = place({4: [record(4, 1, 95.0, 96.0), record(4, 2, 98.0)], 5: []}, ("a line",))
    assert pack(told, 3, 100.0)["restarts"] == 3
    got = heard(told, 1, 7.0)
    assert (got.alive, got.joined, got.joining_since_s) == (told.alive, told.joined, -3.0)
    assert got.records == {4: [record(4, 2, 5.0)], 5: []}
    assert (got.stacks, got.host_of) == (("a line",), {4: 1, 5: 1})


def test_the_last_call_of_each_group_is_told_and_messages_hide_no_collective():
    calls = [record(0, 1, 1.0, 2.0), record(0, 9, 3.0, 4.0, group="pair"), record(0, 2, 5.0, 6.0)]
    calls.append(record(0, 0, 7.0, operation="recv from rank 1"))
    kept = heard(place({0: calls}), 1, 100.0).records[0]
    assert kept == [calls[1], calls[2], calls[3]]


def test_of_very_many_groups_the_latest_are_told():
    calls = [record(0, 1, float(i), i + 0.5, group=f"g{i}") for i in range(300)]
    assert heard(place({0: calls}), 1, 100.0).records[0] == calls[-32:]


def test_a_rank_of_another_host_is_missed():
    own = place({0: [record(0, 1, 80.0, 81.0), record(0, 2, 82.0)]})
    theirs = heard(place({1: [record(1, 1, 80.0, 81.0)]}), 1, 100.0)
    everywhere = merged([own, theirs])
    assert everywhere.alive == everywhere.joined == {0, 1}
    found = replace(suspect(everywhere.records, 100.0, 10.0), host_of=everywhere.host_of)
    assert (found.waiting, found.blamed) == ((0,), (1,))
    line = "  rank 1 (host 1) has not arrived: its last call, 19.0 s ago, was all_reduce #1 of "
    assert found.lines({}, {0: 7})[1:] == [line + "float32 (4, 2) at t.py:5"]
    assert found.stacks({}, {0: 7}, 0) == []
    assert found.stacks({}, {1: 9}, 1)[0] == "disttorch-launch: rank 1 (pid 9 on host 1):"


def test_joining_is_counted_from_the_first_of_all_hosts():
    late = Whereabouts(frozenset({2}), frozenset(), 0.0, {})
    assert merged([replace(late, joined=frozenset({2}), joining_since_s=5.0), late]).joined == {2}
    assert merged([place({}), late]).joining_since_s == 0.0
    assert merged([place({0: []}), late]).joining_since_s == 90.0
