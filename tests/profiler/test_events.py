import pytest

from disttorch.profiler.events import FunctionEvent, averages, microseconds, nested

EVENTS = [
    FunctionEvent("outer", 0, 10_000, 1),
    FunctionEvent("inner", 1_000, 4_000, 1, input_shapes=((2, 3),)),
    FunctionEvent("innermost", 2_000, 3_000, 1),
    FunctionEvent("inner", 5_000, 9_000, 1, input_shapes=((5,),)),
    FunctionEvent("other thread", 500, 20_000, 2),
]


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
    lines = table.splitlines()
    assert lines[1].split()[:3] == ["Name", "Self", "CPU"]
    assert lines[3].split()[:2] == ["other", "thread"] and lines[4].split()[0] == "outer"
    assert lines[-1] == "Self CPU time total: 29.500us"
    assert len(lines) == 7
    with pytest.raises(AttributeError, match="cannot be sorted by 'colour'"):
        averages(EVENTS, by_shape=False).table(sort_by="colour")


def test_units():
    assert [microseconds(us) for us in (0.5, 1500, 2e6)] == ["0.500us", "1.500ms", "2.000s"]
