"""all_reduce against the machine's memory: prints which part of its speed is used, in per cent.

`python bandwidth.py LIBRARY NBYTES FILE`, as each of two ranks. An all-reduce of n bytes must on
each of two ranks at least read n bytes (half of either array) and write n (that half of both). Each
rank passes over as much: `a[i] = a[i] + b[i]` with arrays of 2 n / 3 bytes reads 4 n / 3 and writes
2 n / 3, both ranks at once. The pass and the collective run in turn, with rewritten buffers.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.interleave import Samples, interleaved, slowest

PASS, COLLECTIVE = "pass", "all_reduce"
# Small arrays take microseconds, and single rounds vary.
ROUNDS_BYTES, LEAST_ROUNDS = 200 << 20, 9
# In the ninth, disttorch moves an array that is reduced again and again.
WARM_UP_ROUNDS = 10


def samples(torch: ModuleType, nbytes: int) -> Samples:
    """Seconds of the pass and of the collective, on this rank."""
    dist = torch.distributed
    buffer = torch.ones(nbytes // 4)
    a, b = np.ones((2, nbytes // 6), np.float32)

    def prepare() -> None:
        buffer.fill_(1.0)
        a.fill(1.0)
        b.fill(1.0)

    ways = {PASS: lambda: np.add(a, b, out=a), COLLECTIVE: lambda: dist.all_reduce(buffer)}
    interleaved(ways, prepare, dist.barrier, WARM_UP_ROUNDS)
    rounds = min(200, max(LEAST_ROUNDS, ROUNDS_BYTES // nbytes))
    return interleaved(ways, prepare, dist.barrier, rounds)


def main() -> None:
    """Measure; rank 0 writes the per cent to the file."""
    library, nbytes, file = sys.argv[1:]
    torch = importlib.import_module(library)
    dist = importlib.import_module(f"{library}.distributed")
    dist.init_process_group()
    ranks: list[Samples | None] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, samples(torch, int(nbytes)))
    if os.environ["RANK"] == "0":
        medians = slowest([rank for rank in ranks if rank])
        Path(file).write_text(json.dumps(100 * medians[PASS] / medians[COLLECTIVE]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
