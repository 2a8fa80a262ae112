"""Kill random workers of one pass over a loader: `python -m tests.fault.data_kills 200`.

Only a worker of which a batch has come is killed, so that its successors are never given up.
"""

import os
import random
import signal
import sys
import time
import warnings

from disttorch.utils.data import DataLoader, Dataset, IterableDataset, ShardedDataset

_BATCHES_PER_KILL = 25
_BATCH_SIZE = 8


class Rows(Dataset):
    """Numbers, and the process that fetched them."""

    def __init__(self, n_samples):
        self.n_samples = n_samples

    def __len__(self):
        return self.n_samples

    def __getitem__(self, i):
        return i, os.getpid()


class Stream(IterableDataset):
    """The same as a stream."""

    def __init__(self, n_samples):
        self.n_samples = n_samples

    def __iter__(self):
        return ((i, os.getpid()) for i in range(self.n_samples))


KINDS = {"rows": Rows, "stream": lambda n: ShardedDataset(Stream(n))}


def kill_workers(kind, n_kills, seed=0):
    """Return the samples of a pass, how many there should be, kills, and workers reported lost."""
    rng = random.Random(seed)
    n_samples = max(n_kills, 4) * _BATCHES_PER_KILL * _BATCH_SIZE
    loader = DataLoader(KINDS[kind](n_samples), _BATCH_SIZE, num_workers=3, prefetch_factor=2)
    delivered, known, killed = [], set(), set()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for numbers, pids in (iterator := iter(loader)):
            delivered += numbers.tolist()
            known.update(pids.tolist())
            targets = sorted((known & set(iterator._pool.pids)) - killed)
            if targets and len(killed) < n_kills:
                victim = rng.choice(targets)
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
    lost = sum("was lost: killed by SIGKILL" in str(w.message) for w in seen)
    return delivered, n_samples, len(killed), lost


def main():
    """Print what came of each kind of dataset; exit status 1 if a sample is lost or repeated."""
    n_kills = int(sys.argv[1])
    good = True
    for kind in KINDS:
        start_s = time.monotonic()
        delivered, n_samples, killed, lost = kill_workers(kind, n_kills)
        once = sorted(delivered) == list(range(n_samples))
        good = good and once and killed == lost == n_kills
        elapsed_s = time.monotonic() - start_s
        text = "each once" if once else "LOST OR REPEATED"
        print(f"{kind}: {killed} killed, {lost} replaced, {n_samples} samples {text}", end="")
        print(f", {elapsed_s:.1f} s", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
