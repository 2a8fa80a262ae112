"""Loader workers that are killed, left alone or interrupted.

`KILLS=200 pytest tests/fault/test_data_workers.py` is the full run of the first test.
"""

import gc
import os
import random
import select
import signal
import subprocess
import sys
import time
import warnings

import pytest

import disttorch as torch
from disttorch.utils.data import DataLoader, Dataset

pytestmark = pytest.mark.fault

N_KILLS = int(os.environ.get("KILLS", "12"))
N = 600
LIMIT_S = 1.0
SLACK_S = 2.0  # for a busy machine


class Rows(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.full((50,), i), i, f"n{i}"


def numbers(batches):
    return [i for b in batches for i in b[1].tolist()]


class Whole:
    """Batches that one worker makes: a function of the user's."""

    def __call__(self, samples):
        return torch.utils.data.default_collate(samples)


@pytest.mark.parametrize("collate", [None, Whole()], ids=["rows", "whole"])
def test_kill_9_costs_no_sample_and_repeats_none(collate):
    """Random workers are killed at random batches, pass after pass."""
    rng = random.Random(1)
    killed = 0
    while killed < N_KILLS:
        loader = DataLoader(Rows(), 10, num_workers=3, collate_fn=collate)
        at = {rng.randrange(N // 10) for _ in range(6)}
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            iterator, delivered = iter(loader), []
            for k, (rows, labels, names) in enumerate(iterator):
                delivered += labels.tolist()
                assert rows[:, 0].tolist() == labels.tolist()
                assert list(names) == [f"n{i}" for i in labels.tolist()]
                if k in at:
                    os.kill(rng.choice(iterator._pool.pids), signal.SIGKILL)
                    killed += 1
        assert delivered == list(range(N))
        texts = [str(w.message) for w in seen]
        assert all("was lost: killed by SIGKILL" in text for text in texts)
        assert len(texts) <= len(at)


class Stuck(Rows):
    def __getitem__(self, i):
        if i >= 40:
            signal.pause()
        return super().__getitem__(i)


@pytest.mark.parametrize("dataset", [Rows(), Stuck()], ids=["busy", "stuck"])
def test_abandoned_workers_end_within_a_second(dataset):
    iterator = iter(DataLoader(dataset, 10, num_workers=2))
    next(iterator)
    watched = [os.pidfd_open(pid) for pid in iterator._pool.pids]
    start_s = time.monotonic()
    del iterator
    gc.collect()
    for pidfd in watched:
        assert select.select([pidfd], [], [], 5)[0], "a worker is still there"
        os.close(pidfd)
    assert time.monotonic() - start_s < LIMIT_S + SLACK_S


INTERRUPTED = """
import os, signal, sys, time
from disttorch.utils.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, i):
        if i >= 4:
            time.sleep(60)
        return i

iterator = iter(DataLoader(Slow(), 2, num_workers=2))
next(iterator)
print(*iterator._pool.pids, flush=True)
next(iterator), next(iterator), next(iterator)
"""


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_loader(signal_number):
    """Ctrl-C goes to the whole group, as from a terminal; the others to the loader alone."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        watched = [os.pidfd_open(pid) for pid in pids]
        start_s = time.monotonic()
        if signal_number == signal.SIGINT:
            os.killpg(process.pid, signal_number)
        else:
            process.send_signal(signal_number)
        for pidfd in watched:
            assert select.select([pidfd], [], [], 10)[0], "a worker is still there"
            os.close(pidfd)
        elapsed_s = time.monotonic() - start_s
        errors = process.stderr.read()
        process.wait(10)
    assert len(pids) == 2
    assert elapsed_s < LIMIT_S + SLACK_S
    if signal_number == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1, errors
