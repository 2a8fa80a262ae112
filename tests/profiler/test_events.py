import json

import pytest

from disttorch.profiler.events import EventList, FunctionEvent, averages, nested

EVENTS = [
    FunctionEvent("outer", 0, 10_000, 1),
    FunctionEvent("inner", 1_000, 4_000, 1, input_shapes=[[2, 3]]),
    FunctionEvent("innermost", 2_000, 3_000, 1),
    FunctionEvent("inner", 5_000, 9_000, 1, input_shapes=[[5]]),
    FunctionEvent("other thread", 500, 20_000, 2),
]

# What PyTorch's table is for them, to the character.
TABLE = """\
----------------  ------------  ------------  ------------  ------------  ------------  ------------  
            Name    Self CPU %      Self CPU   CPU total %     CPU total  CPU time avg    # of Calls  
----------------  ------------  ------------  ------------  ------------  ------------  ------------  
    other thread        66.10%      19.500us        66.10%      19.500us      19.500us             1  
           outer        10.17%       3.000us        33.90%      10.000us      10.000us             1  
----------------  ------------  ------------  ------------  ------------  ------------  ------------  
Self CPU time total: 29.500us
"""  # noqa: E501 - a table


def test_own_time_is_without_that_of_inner_events():
    own = {e.name: e.self_cpu_time_total for e in nested(EVENTS) if e.name != "inner"}
    assert own == {"outer": 3.0, "innermost": 1.0, "other thread": 19.5}
    assert [e.self_cpu_time_total for e in nested(EVENTS) if e.name == "inner"] == [2.0, 4.0]


def test_averages_by_name_and_by_shape():
    by_name = {e.key: e for e in averages(nested(EVENTS), by_shape=False)}
    inner = by_name["inner"]
    assert (inner.count, inner.cpu_time_total, inner.cpu_time) == (2, 7.0, 3.5)
    assert len(averages(nested(EVENTS), by_shape=True)) == 5
    assert averages(nested(EVENTS), by_shape=False).total_average().count == 5


def test_table():
    table = averages(nested(EVENTS), by_shape=False).table(sort_by="cpu_time_total", row_limit=2)
    assert table == TABLE
    found = EventList(nested(EVENTS))
    assert found.key_averages().table(sort_by="cpu_time_total", row_limit=2) == TABLE
    top = found.table(header="What", top_level_events_only=True, time_unit="ms").splitlines()
    assert top[0] == top[2] == "=" * (len(top[4]) - 2)
    assert (top[1], top[3]) == ("What", "This report only display top-level ops statistics")
    assert [line.split()[0] for line in top[7:-2]] == ["outer", "other"]
    assert "0.010ms" in top[7] and top[-1] == "Self CPU time total: 0.029ms"
    narrow = found.table(max_name_column_width=8).splitlines()
    assert narrow[3].startswith("outer...  ") and len(narrow[0].split()[0]) == 8
    assert " [[2, 3]]  \n" in found.key_averages(True).table()
    assert EventList().table() == ""
    with pytest.raises(AttributeError, match="cannot be sorted by 'colour'"):
        averages(EVENTS, by_shape=False).table(sort_by="colour")


def test_events_have_pytorchs_attributes(tmp_path):
    outer, *_ = events = nested(EVENTS)
    assert [e.name for e in outer.cpu_children] == ["inner", "inner"]
    assert outer.cpu_parent is None and outer.cpu_children[0].cpu_parent is outer
    assert (outer.time_range.start, outer.time_range.elapsed_us()) == (0.0, 10.0)
    assert (outer.cpu_time_str, outer.self_device_time_total_str) == ("10.000us", "0.000us")
    assert (outer.count, outer.device_type.name, outer.use_device) == (1, "CPU", None)
    first, second, *_ = averages(events, by_shape=False)
    first += second
    assert first.count == 2
    steps = [FunctionEvent(f"ProfilerStep#{i}", i, i + 1, 1) for i in range(3)]
    assert [(e.key, e.count) for e in averages(steps, by_shape=False)] == [("ProfilerStep*", 3)]
    EventList(events).export_chrome_trace(str(tmp_path / "t.json"))
    written = json.loads((tmp_path / "t.json").read_text())
    assert [(e["name"], e["ts"], e["dur"]) for e in written][:2] == [
        ("outer", 0.0, 10.0),
        ("other thread", 0.5, 19.5),
    ]
