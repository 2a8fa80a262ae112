import gzip
import json

import pytest

import disttorch as torch
from disttorch.ops.arithmetic import Mul
from disttorch.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def test_operator_within_a_function_is_counted_once():
    x = torch.ones(3)
    with profile() as prof:
        torch.nn.functional.softmax(x, -1)
        torch.softmax(x, -1)
    counts = {e.key: e.count for e in prof.key_averages()}
    assert counts["aten::softmax"] == 2


def work():
    x = torch.ones(3, 4, requires_grad=True)
    with record_function("block"):
        (x * 2).exp().sum().backward()


def test_operators_and_blocks_are_recorded_and_nested():
    with profile(record_shapes=True) as prof:
        work()
    names = {event.name: event for event in prof.events()}
    assert {"aten::mul", "aten::exp", "aten::sum", "ExpBackward0", "block", "aten::ones"} <= set(
        names
    )
    assert names["aten::exp"].input_shapes == [[3, 4]]
    assert names["aten::mul"].input_shapes == [[3, 4], []]
    assert names["aten::exp"].cpu_parent is names["block"]
    assert names["block"].self_cpu_time_total < names["block"].cpu_time_total
    assert "aten::exp" in prof.key_averages().table(sort_by="self_cpu_time_total")


def test_nothing_is_hooked_without_a_profile():
    before = vars(Mul)["forward"], torch.exp, torch.Tensor.exp
    with profile():
        assert (vars(Mul)["forward"], torch.exp, torch.Tensor.exp) != before
    assert (vars(Mul)["forward"], torch.exp, torch.Tensor.exp) == before


def test_hooks_go_when_the_block_raises():
    plain = vars(Mul)["forward"]
    with pytest.raises(ValueError, match="stop"), profile():
        raise ValueError("stop")
    assert vars(Mul)["forward"] is plain


@pytest.mark.parametrize("accumulates", [False, True])
def test_schedule_hands_over_each_cycle(accumulates):
    seen = []

    def ready(prof):
        counts = {e.key: e.count for e in prof.key_averages()}
        steps = [e.name for e in prof.events() if "Step" in e.name]
        seen.append((prof.step_num, counts["block"], counts["ProfilerStep*"], steps[-2:]))

    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    with profile(schedule=plan, on_trace_ready=ready, acc_events=accumulates) as prof:
        for _ in range(10):
            work()
            prof.step()
    n = 4 if accumulates else 2
    assert seen == [
        (4, 2, 2, ["ProfilerStep#2", "ProfilerStep#3"]),
        (8, n, n, ["ProfilerStep#6", "ProfilerStep#7"]),
    ]


def test_a_schedule_that_breaks_off_hands_nothing_over():
    seen = []
    actions = [ProfilerAction.RECORD, ProfilerAction.NONE, ProfilerAction.WARMUP]
    plan = [*actions, ProfilerAction.NONE].__getitem__
    with profile(schedule=plan, on_trace_ready=seen.append) as prof:
        with pytest.warns(UserWarning, match="Incorrect schedule: RECORD followed by NONE"):
            prof.step()
        prof.step()
        with pytest.warns(UserWarning, match="Incorrect schedule: WARMUP followed by NONE"):
            prof.step()
    assert seen == []


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda p: p.events(), "accessing events"),
        (lambda p: p.key_averages(), "getting key averages"),
        (lambda p: p.export_chrome_trace("t.json"), "exporting chrome trace"),
    ],
)
def test_nothing_is_told_before_anything_was_recorded(ask, what):
    with profile(schedule=schedule(wait=1, warmup=1, active=1)) as prof:
        pass
    with pytest.raises(AssertionError, match=f"Profiler must be initialized before {what}"):
        ask(prof)


def test_use_cuda_is_an_activity():
    with pytest.warns(FutureWarning, match="`use_cuda` is deprecated"):
        assert ProfilerActivity.CUDA in profile(use_cuda=True).activities
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        profile(activities=[])
    assert profile(activities=[{ProfilerActivity.CPU: []}]).activities == {ProfilerActivity.CPU}


def test_a_folder_that_cannot_be_made_is_told_when_the_trace_is_ready(tmp_path):
    (tmp_path / "file").write_text("")
    handler = tensorboard_trace_handler(str(tmp_path / "file" / "log"))
    with (
        pytest.raises(RuntimeError, match="Can't create directory: "),
        profile(on_trace_ready=handler),
    ):
        work()


def test_second_profile_is_refused():
    with profile(), pytest.raises(RuntimeError, match="already enabled"):
        profile().start()


def test_chrome_trace(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    handler = tensorboard_trace_handler(str(tmp_path / "log"), "worker", use_gzip=True)
    with profile(on_trace_ready=handler):
        work()
    (path,) = (tmp_path / "log").iterdir()
    assert path.name.startswith("worker.") and path.name.endswith(".pt.trace.json.gz")
    trace = json.loads(gzip.decompress(path.read_bytes()))
    assert trace["distributedInfo"]["rank"] == 3
    events = {event["name"]: event for event in trace["traceEvents"]}
    inner, outer = events["aten::exp"], events["block"]
    assert outer["ts"] <= inner["ts"]
    assert inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]


@record_function("decorated")
def decorated():
    return 1


def test_record_function_decorates():
    with profile() as prof:
        assert decorated() == 1
    assert [event.name for event in prof.events()] == ["decorated"]


def test_memory_is_that_of_new_results():
    x = torch.ones(1000)
    with profile(profile_memory=True) as prof:
        x + x
        x.view(10, 100)
        x.mul_(2)
    used = {e.key: e.cpu_memory_usage for e in prof.key_averages()}
    assert {name: used[f"aten::{name}"] for name in ("add", "view", "mul")} == {
        "add": 4000, "view": 0, "mul": 0,
    }  # fmt: skip
    table = prof.key_averages().table(sort_by="cpu_memory_usage")
    assert "Self CPU Mem" in table
    assert table.splitlines()[3].split()[0] == "aten::add"
    assert "3.91 KB" in table
    with profile() as plain:
        x + x
    assert "Mem" not in plain.key_averages().table()


def test_trace_has_memory_and_waits_for_data(tmp_path):
    loader = torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=2)
    with profile(profile_memory=True) as prof:
        for batch in loader:
            batch * 2
    prof.export_chrome_trace(str(tmp_path / "t.json"))
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    counters = [e for e in events if e["ph"] == "C"]
    assert counters[0]["args"]["resident bytes"] > 1 << 20
    assert all(e["ts"] >= 0 for e in events)
    waits = [e for e in events if e.get("cat") == "data_wait"]
    assert len(waits) == 4
    assert {e["tid"] for e in waits} == {"data"}
