import gzip
import json

import pytest

from disttorch_launcher.trace import TraceError, find_traces, merge


def event(name, ts):
    return {"ph": "X", "name": name, "pid": 4711, "tid": 1, "ts": ts, "dur": 2}


def test_ranks_stand_side_by_side_on_one_clock(tmp_path):
    one = {"traceEvents": [event("a", 5.0)], "baseTimeNanoseconds": 1_000_000,
           "distributedInfo": {"rank": 1}}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(one))
    other = {"traceEvents": [event("b", 5.0)], "baseTimeNanoseconds": 3_000_000}
    (tmp_path / "rank0.json.gz").write_bytes(gzip.compress(json.dumps(other).encode()))
    merged = merge(find_traces([str(tmp_path)]))
    found = {e["name"]: (e["pid"], e["ts"]) for e in merged["traceEvents"] if e["ph"] == "X"}
    assert found == {"a": (1, 5.0), "b": (0, 2005.0)}
    names = [e["args"]["name"] for e in merged["traceEvents"] if e["name"] == "process_name"]
    assert sorted(names) == ["rank 0", "rank 1"]


def test_counters_and_tracks_stay_with_their_rank(tmp_path):
    counter = {"ph": "C", "name": "memory", "pid": 9, "ts": 1.0, "args": {"resident bytes": 3}}
    wait = event("disttorch::data_wait", 2.0) | {"tid": "data"}
    for rank in range(2):
        trace = {"traceEvents": [counter, wait], "baseTimeNanoseconds": 1000 * rank}
        (tmp_path / f"rank{rank}.json").write_text(json.dumps(trace))
    events = merge(find_traces([str(tmp_path)]))["traceEvents"]
    found = [(e["ph"], e["pid"], e["ts"]) for e in events if e["ph"] in "CX"]
    assert found == [("C", 0, 1.0), ("X", 0, 2.0), ("C", 1, 2.0), ("X", 1, 3.0)]


@pytest.mark.parametrize("text", ["{", "{}", "3"])
def test_file_that_is_no_trace_is_named(text, tmp_path):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(TraceError, match=r"t\.json"):
        merge([tmp_path / "t.json"])


def test_folder_without_traces(tmp_path):
    with pytest.raises(TraceError, match="no trace files there"):
        find_traces([str(tmp_path)])
