"""Checkpoints of all ranks: what is written by whom, what is left of a save that failed."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import disttorch as torch
from disttorch.distributed import checkpoint as dcp
from disttorch.distributed.checkpoint import state_dict_loader, state_dict_saver
from disttorch.serialization.atomic import atomic_writer
from disttorch.serialization.sharded.together import CheckpointException
from tests.comm.ranks import outcomes_of, run_ranks

ALONE = {"no_dist": True}


def state_of(rank, fill=1.0):
    """What all ranks have, and what each has alone."""
    return {
        "model": {"w": torch.full((4, 3), fill), "b": torch.full((2,), fill).to(torch.bfloat16)},
        "own": {f"rank{rank}": torch.full((2,), fill + rank)},
        "step": 7,
        "list": [torch.zeros(()), {"text": f"of {fill}"}],
    }


def numbers(state):
    return {name: p.value for name, p in dcp_places(state).items()}


def dcp_places(state):
    from disttorch.serialization.sharded.contents import flatten

    return flatten(state)


def save_all(folder, n_ranks, fill=1.0):
    return run_ranks(
        n_ranks,
        lambda group: dcp.save(
            state_of(group.rank, fill), checkpoint_id=folder, process_group=group
        ),
    )


def assert_holds(state, rank, fill=1.0):
    expected = numbers(state_of(rank, fill))
    found = numbers(state)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value


def test_other_ranks_load_what_some_saved(tmp_path):
    metadata, *others = save_all(str(tmp_path), 3)
    assert all(other.storage_data == metadata.storage_data for other in others)
    files = sorted(os.listdir(tmp_path))
    assert files == [".metadata", "__0_0.distcp", "__1_0.distcp", "__2_0.distcp"]

    def body(group):
        state = state_of(2 - group.rank, 0.0)
        kept = state["model"]["w"]
        dcp.load(state, checkpoint_id=str(tmp_path), process_group=group)
        assert state["model"]["w"] is kept
        assert_holds(state, 2 - group.rank)

    run_ranks(2, body)


def test_a_save_replaces_the_last_one_and_its_files(tmp_path):
    save_all(str(tmp_path), 2)
    save_all(str(tmp_path), 1, 5.0)
    assert sorted(os.listdir(tmp_path)) == [".metadata", "__0_1.distcp"]
    state = state_of(0, 0.0)
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert_holds(state, 0, 5.0)
    writer = dcp.FileSystemWriter(tmp_path, overwrite=False)
    with pytest.raises(CheckpointException, match="already exists"):
        dcp.save(state, storage_writer=writer, **ALONE)


class Broken:
    def __reduce__(self):
        raise OSError("no")


def test_what_fails_on_one_rank_is_an_error_on_all(tmp_path):
    save_all(str(tmp_path), 2)

    def body(group):
        state = {**state_of(group.rank, 5.0), f"bad{group.rank}": Broken() if group.rank else 1}
        dcp.save(state, checkpoint_id=str(tmp_path), process_group=group)

    for outcome in outcomes_of(2, body):
        assert type(outcome.error) is CheckpointException, outcome.trace
        assert "writing a checkpoint failed on rank 1\nrank 1: Traceback" in str(outcome.error)
        assert list(outcome.error.failures) == [1]
    state = state_of(0, 0.0)
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert_holds(state, 0)
    save_all(str(tmp_path), 1, 3.0)
    assert len(os.listdir(tmp_path)) == 2  # what the failed save left is gone


def test_ranks_with_different_tensors_are_told(tmp_path):
    def body(group):
        dcp.save({"a": torch.ones(group.rank + 1)}, checkpoint_id=tmp_path, process_group=group)

    for outcome in outcomes_of(2, body):
        assert isinstance(outcome.error, ValueError), outcome.trace
        assert "'a' is a tensor of torch.float32 (1,) on rank 0" in str(outcome.error)


def test_training_goes_on_while_a_copy_is_saved(tmp_path):
    def body(group):
        state = state_of(group.rank)
        future = dcp.async_save(state, checkpoint_id=str(tmp_path), process_group=group)
        with torch.no_grad():
            state["model"]["w"] += 1
        state["step"] = 8
        for _ in range(20):
            group.all_reduce(np.ones(3))
        return sorted(future.result(60).state_dict_metadata)

    first, second = run_ranks(2, body)
    assert first == second
    state = state_of(1, 0.0)
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert_holds(state, 1)


def test_an_error_in_the_background_is_that_of_the_future(tmp_path):
    (tmp_path / "file").write_text("")
    future = dcp.async_save({"a": 1}, checkpoint_id=tmp_path / "file" / "under", **ALONE)
    with pytest.raises(CheckpointException, match="NotADirectoryError"):
        future.result(60)


SAVES = """
import disttorch as torch
from disttorch.distributed import checkpoint as dcp
n = 0
while True:
    n += 1
    state = {"w": torch.full((50000,), float(n)), "n": n}
    (dcp.async_save if n % 2 else dcp.save)(state, checkpoint_id=".", no_dist=True)
    print(n, flush=True)
"""


def test_a_killed_save_leaves_a_whole_checkpoint_and_nothing_for_long(tmp_path):
    words = [sys.executable, "-c", SAVES]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE) as saving:
        for _ in range(20):
            saving.stdout.readline()
        saving.kill()
    state = {"w": torch.zeros(50000), "n": 0}
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert (state["w"] == state["n"]).all()
    with pytest.raises(FileNotFoundError), atomic_writer(str(tmp_path / ".metadata")):
        # Its temporary file is there now, as in a process that is killed here.
        dcp.save(state, checkpoint_id=tmp_path, **ALONE)
        names = os.listdir(tmp_path)
    assert len(names) == 2, names


def test_saves_into_one_folder_are_made_in_the_order_of_their_calls(tmp_path):
    """Each removes the files of earlier ones: at once they removed each other's."""

    def body(group):
        common = {"checkpoint_id": str(tmp_path), "process_group": group}
        futures = [dcp.async_save(state_of(group.rank, fill), **common) for fill in (1.0, 2.0, 3.0)]
        assert not futures[-1].cancel()  # the other ranks go on
        dcp.save(state_of(group.rank, 4.0), **common)
        return [future.done() for future in futures]

    assert run_ranks(2, body) == [[True] * 3] * 2
    state = state_of(1, 0.0)
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert_holds(state, 1, 4.0)
    assert sorted(os.listdir(tmp_path)) == [".metadata", "__0_3.distcp", "__1_3.distcp"]


def test_a_background_save_that_has_ended_leaves_nothing(tmp_path):
    def body(group):
        common = {"checkpoint_id": str(tmp_path), "process_group": group}
        counts = []
        for _ in range(6):
            dcp.async_save({"w": torch.ones(3)}, **common).result(60)
            counts.append(len(os.listdir("/proc/self/fd")))
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and thread.name == "async_save":
                thread.join(20)
                assert not thread.is_alive()
        return counts[-1] - counts[0]

    assert max(run_ranks(2, body)) <= 0


class Refuses:
    def state_dict(self):
        raise ValueError("not now")

    def load_state_dict(self, state):
        pass


ALL_CALLS = [
    (dcp.save, "planning a"),
    (dcp.async_save, "copying a"),
    (dcp.load, "planning to load a"),
]


@pytest.mark.parametrize(("call", "step"), ALL_CALLS)
@pytest.mark.parametrize("bad", [Refuses(), {"a": {"b": 1}, "a.b": 2}], ids=["raises", "ambiguous"])
def test_a_rank_without_a_state_is_told_to_all(tmp_path, call, step, bad):
    """Else the others wait for it until the deadline."""
    save_all(str(tmp_path), 1)

    def body(group):
        state = {"own": bad} if group.rank else state_of(0)
        call(state, checkpoint_id=str(tmp_path), process_group=group)

    for outcome in outcomes_of(2, body):
        assert type(outcome.error) is CheckpointException, outcome.trace
        assert str(outcome.error).startswith(f"{step} "), outcome.trace
        assert list(outcome.error.failures) == [1]
    state = state_of(0, 0.0)
    dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    assert_holds(state, 0)


def test_a_load_that_a_rank_refuses_changes_nothing(tmp_path):
    save_all(str(tmp_path), 1)

    def body(group):
        own = {"own": {"rank0": torch.zeros(2 + group.rank)}}
        state = {**state_of(group.rank, 0.0), **own}
        with pytest.raises(CheckpointException, match="Size mismatch"):
            dcp.load(state, checkpoint_id=str(tmp_path), process_group=group)
        return state["model"]["w"].sum().item(), own["own"]["rank0"].sum().item()

    assert run_ranks(2, body) == [(0.0, 0.0)] * 2


class Counter:
    def __init__(self, n):
        self.n = n

    def state_dict(self):
        return {"n": self.n, "x": torch.full((1,), float(self.n))}

    def load_state_dict(self, state):
        self.n = state["n"] + int(state["x"].item())


def test_objects_stand_for_their_state(tmp_path):
    state_dict_saver.save({"counter": Counter(3), "epoch": 1}, checkpoint_id=tmp_path, **ALONE)
    state = {"counter": Counter(0), "epoch": 0}
    state_dict_loader.load(state, checkpoint_id=tmp_path, **ALONE)
    assert (state["counter"].n, state["epoch"]) == (6, 1)


REFUSED = [
    ({"b": torch.ones(1)}, r"Missing key in checkpoint state_dict: b\."),
    ({"a": torch.ones(3)}, r"Size mismatch between saved torch.Size\(\[2\]\) and current"),
]


@pytest.mark.parametrize(("state", "text"), REFUSED)
def test_what_does_not_fit_is_told(tmp_path, state, text):
    dcp.save({"a": torch.ones(2), "c": None}, checkpoint_id=tmp_path, **ALONE)
    with pytest.raises(CheckpointException, match=text):
        dcp.load(state, checkpoint_id=tmp_path, **ALONE)
    planner = dcp.DefaultLoadPlanner(allow_partial_load=True)
    partly = {"b": 1, "a": None}
    dcp.load(partly, checkpoint_id=tmp_path, planner=planner, **ALONE)
    assert partly["b"] == 1
    assert partly["a"].tolist() == [1.0, 1.0]


def test_a_folder_is_needed():
    for call in (dcp.save, dcp.load):
        with pytest.raises(RuntimeError, match="`checkpoint_id` must be specified"):
            call({}, **ALONE)


def test_single_files_and_back(tmp_path):
    save_all(str(tmp_path / "folder"), 2)
    dcp.format_utils.dcp_to_torch_save(tmp_path / "folder", tmp_path / "file.pt")
    whole = torch.load(tmp_path / "file.pt")
    assert set(whole["own"]) == {"rank0", "rank1"}
    dcp.format_utils.torch_save_to_dcp(tmp_path / "file.pt", tmp_path / "back")
    state = state_of(1, 0.0)
    dcp.load(state, checkpoint_id=tmp_path / "back", **ALONE)
    assert_holds(state, 1)
