import array
import fcntl
import gc
import multiprocessing
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset, IterableDataset, channel
from disttorch.utils.data.messages import Exhausted, NewEpoch, Task
from disttorch.utils.data.pool import WorkerPool, _describe
from disttorch.utils.data.start_method import choose_start
from disttorch.utils.data.worker import WorkerSetup


class Numbers(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return torch.tensor([float(i)])


def flat(batches):
    return [i for b in batches for i in b.flatten().tolist()]


def test_workers_end_at_once_while_a_later_loader_has_inherited_their_channels():
    first = iter(DataLoader(Numbers(), 4, num_workers=1))
    next(first)
    second = iter(DataLoader(Numbers(), 4, num_workers=1))
    next(second)
    start_s = time.monotonic()
    first.close()
    assert time.monotonic() - start_s < 0.8  # a worker that is not told is killed after a second
    second.close()


def test_workers_outlive_the_thread_that_started_them():
    made = []
    thread = threading.Thread(
        target=lambda: made.append(iter(DataLoader(Numbers(), 4, num_workers=1)))
    )
    thread.start()
    thread.join()
    assert flat(made.pop()) == list(range(12))


class Unpicklable(Numbers):
    def __init__(self):
        self.lock = threading.Lock()


def test_a_start_that_fails_leaves_no_worker():
    loader = DataLoader(Unpicklable(), 4, num_workers=2, multiprocessing_context="spawn")
    with pytest.raises(TypeError, match="pickle"):
        iter(loader)


def test_a_sampler_that_fails_leaves_no_worker():
    def indices():
        yield 0
        raise LookupError("no more")

    class Failing:
        def __iter__(self):
            return indices()

    with pytest.raises(LookupError, match="no more"):
        iter(DataLoader(Numbers(), 1, sampler=Failing(), num_workers=1))


class HoldsAnIterator(Numbers):
    """Drops, in the worker, an iterator that belongs to the loader's process."""

    def __init__(self):
        self.other = iter(DataLoader(Numbers(), 4, num_workers=1))

    def __getitem__(self, i):
        self.other = None
        gc.collect()
        return super().__getitem__(i)


def test_a_workers_copy_of_an_iterator_ends_nothing():
    data = HoldsAnIterator()
    assert flat(DataLoader(data, 4, num_workers=1)) == list(range(12))
    assert flat(data.other) == list(range(12))


@pytest.mark.fault
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_killed_at_any_time_cost_no_sample(workers):
    loader = DataLoader(Numbers(), 1, num_workers=workers, persistent_workers=True)
    with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
        for epoch in range(4):
            iterator = iter(loader)
            seen = []
            for k, batch in enumerate(iterator):
                seen += flat([batch])
                if (k + epoch) % 4 == 0:
                    os.kill(iterator._pool.pids[k % workers], signal.SIGKILL)
            assert seen == list(range(12))
    loader._iterator.close()


def one_worker(dataset):
    """A pool of one forked worker that makes whole batches, without a loader."""
    setup = WorkerSetup(
        num_workers=1,
        base_seed=0,
        dataset=dataset,
        collate_fn=list,
        worker_init_fn=None,
        by_rows=False,
        batched=True,
        stream=isinstance(dataset, IterableDataset),
        drop_last=False,
        rank=0,
        world_size=1,
    )
    return WorkerPool(setup, choose_start(multiprocessing.get_context("fork")))


def ask(pool, first, *requests):
    for number, request in enumerate(requests, first):
        pool.submit(0, Task(number, 0, 0, request, 0, True))
    pool.flush()


def answers(pool, n_answers=1):
    """The next so many answers: number of the batch and what is in it, None at the end."""
    found = []
    while len(found) < n_answers:
        found += pool.answers(10)
    values = [None if type(a) is Exhausted else pickle.loads(a.pickled) for a in found]
    return list(zip([a.batch for a in found], values, strict=True))


def kill(pool):
    """Kill the worker; it has died when this returns."""
    os.kill(pool.pids[0], signal.SIGKILL)
    pool._members[0].process.join(10)


class StartsOver(IterableDataset):
    """A stream of seven that sets itself back at its end, and counts its passes."""

    def __init__(self):
        self.state = {"position": 0, "n_passes": 0}

    def __iter__(self):
        while self.state["position"] < 7:
            self.state["position"] += 1
            yield 10 * self.state["n_passes"] + self.state["position"] - 1
        self.state = {"position": 0, "n_passes": self.state["n_passes"] + 1}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.mark.fault
def test_a_successor_goes_on_with_the_state_of_the_dataset():
    pool = one_worker(StartsOver())
    try:
        ask(pool, 0, 5, 5)
        assert answers(pool, 2) == [(0, [0, 1, 2, 3, 4]), (1, [5, 6])]
        kill(pool)  # when the stream has set itself back
        ask(pool, 2, 5)
        with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
            assert answers(pool) == [(2, None)]
        kill(pool)  # when the end has been told
        ask(pool, 3, 5)
        with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
            assert answers(pool) == [(3, None)]
        pool.tell_all(NewEpoch(1))
        kill(pool)  # before the next pass has an answer
        ask(pool, 4, 5)
        with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
            assert answers(pool) == [(4, [10, 11, 12, 13, 14])]
    finally:
        pool.close()


class Counts(Numbers):
    """A map-style dataset whose samples are how many were asked for."""

    n_asked = 0

    def __getitem__(self, i):
        self.n_asked += 1
        return self.n_asked

    def state_dict(self):
        return self.n_asked

    def load_state_dict(self, state):
        self.n_asked = state


@pytest.mark.fault
def test_a_successor_in_a_later_pass_goes_on_with_the_state_of_the_one_before():
    pool = one_worker(Counts())
    try:
        ask(pool, 0, [0, 1])
        assert answers(pool) == [(0, [1, 2])]
        pool.tell_all(NewEpoch(1))
        kill(pool)
        ask(pool, 1, [0, 1])
        with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
            assert answers(pool) == [(1, [3, 4])]
    finally:
        pool.close()


class TellsOfTheLast(Numbers):
    """Tells through a pipe that its third sample was begun, and takes for ever over it, once."""

    def __init__(self, nbytes):
        self.nbytes = nbytes
        self.begun, self.begins = os.pipe()
        self.again, self.once = os.pipe()

    def __getitem__(self, i):
        if i == 2 and not select.select([self.again], [], [], 0)[0]:
            os.write(self.begins, b"x")
            signal.pause()
        return bytes(self.nbytes) if i == 1 else i

    def close(self):
        for fd in (self.begun, self.begins, self.again, self.once):
            os.close(fd)


def n_readable(fd):
    """Bytes that have come."""
    n = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, n)
    return n[0]


@pytest.mark.fault
@pytest.mark.parametrize(
    ("look_every_s", "nbytes", "n_come"),
    [(1e9, 1, 0), (1e-3, 1, 2), (1e-3, 1 << 23, 1)],
    ids=["before it sends", "after it has sent", "while it sends"],
)
def test_a_worker_dies_while_another_thread_sends(look_every_s, nbytes, n_come, monkeypatch):
    """Two answers are held, and `n_come` of them sent, when the worker is killed in the third."""
    monkeypatch.setattr(channel, "_HELD_S", 1e9)
    monkeypatch.setattr(channel, "_LOOK_EVERY_S", look_every_s)
    data = TellsOfTheLast(nbytes)
    pool = one_worker(data)
    monkeypatch.undo()  # for the successor
    try:
        ask(pool, 0, [0], [1], [2])
        assert select.select([data.begun], [], [], 10)[0]
        found = answers(pool, n_come)
        assert len(found) == n_come
        if n_come == 1:  # and a part of the second
            fd = pool._members[0].channel.fileno()
            assert select.select([fd], [], [], 10)[0]
            assert 0 < n_readable(fd) < nbytes
        kill(pool)
        os.write(data.once, b"x")
        with pytest.warns(UserWarning, match="was lost: killed by SIGKILL"):
            found += answers(pool, 3 - len(found))
        assert found == [(0, [0]), (1, [bytes(nbytes)]), (2, [2])]
    finally:
        pool.close()
        data.close()


SCRIPT = """
import os, signal, sys, time
import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset
from disttorch.utils.data.pool import _describe
class Slow(Dataset):
    def __len__(self): return 8
    def __getitem__(self, i):
        time.sleep(60 if i else 0)
        return i
iterator = iter(DataLoader(Slow(), 1, num_workers=2))
next(iterator)
print(*iterator._pool.pids, flush=True)
next(iterator)
"""


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_loader(how):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        workers = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does
        else:
            process.send_signal(how)
        start_s = time.monotonic()
        assert process.wait(10) != 0
        for pidfd in workers:
            assert select.select([pidfd], [], [], 5)[0], "a worker is still there"
            os.close(pidfd)
        assert time.monotonic() - start_s < 4
        assert process.stderr.read().count("Traceback") == (how is signal.SIGINT)


@pytest.mark.parametrize(
    ("exit_code", "nbytes", "expected"),
    [
        (3, 10**9, r"exit status 3"),
        (-11, 10**9, r"killed by SIGSEGV"),
        (-9, 0, r"killed by SIGKILL, likely out of memory"),
        (-9, 2 * 10**9, r"killed by SIGKILL.*used 2000 MB when last seen, of which .* \d+ MB left"),
    ],
)
def test_deaths_are_described(exit_code, nbytes, expected):
    assert re.fullmatch(expected, _describe(exit_code, nbytes))
