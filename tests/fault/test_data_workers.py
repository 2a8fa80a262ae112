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
from disttorch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    ShardedDataset,
    get_worker_info,
)
from tests.fault.data_kills import KINDS, kill_workers

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
        assert {w.filename for w in seen} <= {__file__}  # the line that asked for a batch
        assert len(texts) <= len(at)


@pytest.mark.parametrize("kind", KINDS)
def test_more_workers_may_die_in_a_pass_than_without_an_answer(kind):
    delivered, n_samples, killed, lost = kill_workers(kind, 12)
    assert sorted(delivered) == list(range(n_samples))
    assert killed == lost == 12


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
from disttorch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    ShardedDataset,
    get_worker_info,
)

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


class Stream(IterableDataset):
    """Plain numbers, the same in every worker."""

    def __iter__(self):
        return iter(range(400))


class Positioned(IterableDataset):
    """A share of the numbers for each worker, and the position in it."""

    def __init__(self):
        self.position = 0

    def __iter__(self):
        info = get_worker_info()
        mine = range(info.id, 400, info.num_workers)
        while self.position < len(mine):
            self.position += 1
            yield mine[self.position - 1]
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def flat(batches):
    return [i for batch in batches for i in batch.tolist()]


@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize("make", [lambda: ShardedDataset(Stream()), Positioned])
def test_lost_workers_of_streams_go_on_where_they_were(make, method):
    loader = DataLoader(
        make(), 5, num_workers=2, persistent_workers=True, multiprocessing_context=method
    )
    whole = flat(loader)
    assert sorted(whole) == list(range(400))
    state = None
    for at in (0, 3, 41, 78):
        delivered = []
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for k, batch in enumerate(iterator := iter(loader)):
                delivered += batch.tolist()
                if k == at:
                    state = loader.state_dict(), len(delivered)
                    os.kill(iterator._pool.pids[k % 2], signal.SIGKILL)
        assert delivered == whole
        assert all("was lost: killed by SIGKILL" in str(w.message) for w in seen)
    loader.load_state_dict(state[0])  # what was left then, by new workers, one of which is killed
    iterator = iter(loader)
    rest = next(iterator).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.kill(iterator._pool.pids[1], signal.SIGKILL)
        assert sorted(rest + flat(iterator)) == sorted(whole[state[1] :])


def test_other_streams_end_with_their_worker():
    iterator = iter(DataLoader(Stream(), 5, num_workers=2))
    next(iterator)
    pids = iterator._pool.pids
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"killed by SIGKILL.*is lost with it.*ShardedDataset"):
        flat(iterator)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
