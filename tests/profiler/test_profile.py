import gzip
import json

import pytest

import disttorch as torch
from disttorch.ops.arithmetic import Mul
from disttorch.profiler import profile, record_function, schedule, tensorboard_trace_handler


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
    assert names["aten::exp"].input_shapes[0] == (3, 4)
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


def test_schedule_hands_over_each_cycle():
    seen = []

    def ready(prof):
        counts = {e.key: e.count for e in prof.key_averages()}
        seen.append((prof.step_num, counts["block"], sorted(k for k in counts if "Step" in k)))

    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    with profile(schedule=plan, on_trace_ready=ready) as prof:
        for _ in range(10):
            work()
            prof.step()
    assert seen == [
        (4, 2, ["ProfilerStep#2", "ProfilerStep#3"]),
        (8, 2, ["ProfilerStep#6", "ProfilerStep#7"]),
    ]


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
