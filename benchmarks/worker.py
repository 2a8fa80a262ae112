"""One rank of a timed row: repeats the body whenever the driver asks and answers with seconds.

Run by `session.py` as `python worker.py LIBRARY ROW SOCKET`. Orders and answers are JSON lines.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bodies import Work
from benchmarks.rows import ROWS, Timed


def seconds_per_step(work: Work, n: int) -> float:
    """Mean of `n` steps, leaving out their preparation."""
    spent = 0.0
    clock = time.perf_counter
    for _ in range(n):
        work.prepare()
        start = clock()
        work.step()
        spent += clock() - start
    return spent / n


def main() -> None:
    """Build the body, report readiness, then serve orders until the driver hangs up."""
    library, row, address = sys.argv[1:]
    torch = importlib.import_module(library)
    for name in ("nn", "optim", "distributed"):
        importlib.import_module(f"{library}.{name}")
    kind = ROWS[row].kind
    assert isinstance(kind, Timed)
    if kind.n_ranks > 1:
        torch.distributed.init_process_group()
    torch.manual_seed(0)
    work = kind.body(torch)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        with connection.makefile("rw") as lines:
            print(json.dumps({"rank": int(os.environ.get("RANK", "0"))}), file=lines, flush=True)
            for order in lines:
                answer = seconds_per_step(work, json.loads(order)["n"])
                print(json.dumps(answer), file=lines, flush=True)
    if kind.n_ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
