import gc
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset
from disttorch.utils.data.pool import _describe


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
