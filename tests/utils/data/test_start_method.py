import multiprocessing
import subprocess
import sys
import threading

import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset, start_method
from disttorch.utils.data.start_method import choose_start, pickled
from disttorch.utils.data.worker import WorkerSetup


@pytest.fixture
def alone(monkeypatch):
    """No threads of the test runner, no CUDA."""
    monkeypatch.setattr(start_method, "foreign_threads", list)
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: None)


def test_fork_where_nothing_is_lost(alone):
    start = choose_start()
    assert (start.context.get_start_method(), start.may_fork) == ("fork", False)


def test_a_server_where_threads_are_live(alone, monkeypatch):
    monkeypatch.setattr(start_method, "foreign_threads", lambda: ["logger", "b", "c", "d"])
    start = choose_start()
    assert (start.context.get_start_method(), start.may_fork) == ("forkserver", True)
    assert "(logger, b, c, ...)" in start.reason


def test_a_server_where_cuda_is_initialised(alone, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    start = choose_start()
    assert (start.context.get_start_method(), start.may_fork) == ("forkserver", False)
    assert "CUDA" in start.reason


def test_what_the_user_says_counts(monkeypatch):
    spawn = multiprocessing.get_context("spawn")
    assert choose_start(spawn).context is spawn
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "spawn")
    assert choose_start().context.get_start_method() == "spawn"


def test_the_platforms_own_choice_is_nobodys(alone, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "fork")
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["fork", "forkserver"])
    monkeypatch.setattr(start_method, "foreign_threads", lambda: ["logger"])
    assert choose_start().context.get_start_method() == "forkserver"


def test_threads_that_count():
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait, name=n) for n in ("DataLoader x", "a user's")]
    before = start_method.foreign_threads()
    for thread in threads:
        thread.start()
    try:
        assert [n for n in start_method.foreign_threads() if n not in before] == ["a user's"]
    finally:
        gate.set()
        for thread in threads:
            thread.join()


SCRIPT = """
import threading, disttorch as torch
from disttorch.utils.data import DataLoader, Dataset

print("main runs")

class Squares(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.tensor(i * i)

gate = threading.Event()
threading.Thread(target=gate.wait, name="a logger").start()
iterator = iter(DataLoader(Squares(), 3, num_workers=2))
print(iterator._pool.start_method, [b.tolist() for b in iterator])
gate.set()
"""


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=50, check=False
    )
    assert run.stdout.splitlines() == ["main runs", "forkserver [[0, 1, 4], [9, 16, 25]]"]
    assert run.stderr == ""


class Holder(Dataset):
    def __init__(self, held):
        self.transform = {"ops": [1, held]}

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return i


class Op:
    def __init__(self):
        self.lock = threading.Lock()


def closure():
    lock = threading.Lock()
    return lambda: lock


PATHS = [
    (lambda: dict(dataset=Holder(Op())), "dataset.transform['ops'][1].lock (lock)"),
    (lambda: dict(dataset=Holder(closure())), "dataset.transform['ops'][1].<lock> (lock)"),
    (lambda: dict(dataset=Holder(x for x in ())), "dataset.transform['ops'][1] (generator)"),
    (lambda: dict(dataset=[1], collate_fn=closure()), "collate_fn.<lock> (lock)"),
    (lambda: dict(dataset=[1], worker_init_fn=Op()), "worker_init_fn.lock (lock)"),
]


@pytest.mark.parametrize(("parts", "path"), PATHS, ids=[path for _, path in PATHS])
def test_what_cannot_be_pickled_is_named(parts, path):
    given = dict(collate_fn=None, worker_init_fn=None) | parts()
    setup = WorkerSetup(
        num_workers=1, base_seed=0, by_rows=False, batched=True, stream=False, drop_last=False,
        rank=0, world_size=1, **given,
    )  # fmt: skip
    with pytest.raises(TypeError, match="cannot pickle") as caught:
        pickled(setup, "it was asked for")
    assert path in str(caught.value)
    assert "multiprocessing_context='fork'" in str(caught.value)


def test_threads_and_a_dataset_that_cannot_be_pickled(alone, monkeypatch):
    monkeypatch.setattr(start_method, "foreign_threads", lambda: ["logger"])
    loader = DataLoader(Holder(Op()), 2, num_workers=1)
    with pytest.warns(UserWarning, match=r"forked, which may hang.*ops.*lock"):
        iterator = iter(loader)
    assert iterator._pool.start_method == "fork"
    assert [b.tolist() for b in iterator] == [[0, 1], [2, 3]]
