"""Jobs in which one rank never comes: `python -m tests.fault.stalls 50` counts who is found."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.launcher.jobs import Job, until

# what the guilty rank does instead of coming; the line that must be named is the marked one
KINDS = {
    "sleeps": "time.sleep(60)  # here",
    "dead lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()  # here",
    "C call that never returns": "re.match('(a+)+$', 'a' * 60 + 'b')  # here",
    "other branch": "sum(1 for _ in iter(int, 1))  # here",
    "message that nobody sends": "dist.recv(x, src=(rank + 1) % n)  # here",
    "never joins": "time.sleep(60)  # here, before joining",
}
SCRIPT = """\
import os, re, sys, threading, time
import disttorch as torch
import disttorch.distributed as dist

rank, n = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
x = torch.ones(4)

def stuck():
    {what}

if rank == {guilty} and {early}:
    stuck()
dist.init_process_group()
dist.all_reduce(x)
if rank == {guilty}:
    stuck()
dist.all_reduce(x)
"""


def check_stall(folder: Path, kind: str, n_ranks: int, guilty: int) -> str:
    """Run one job; returns what is missing in its stall report, or "" if all is there."""
    what = KINDS[kind]
    early = "before joining" in what
    script = SCRIPT.format(what=what, guilty=guilty, early=early)
    line = script.splitlines().index(f"    {what}") + 1
    options = ("--nproc", str(n_ranks), "--stall", "0.4", "--grace", "0.3")
    with Job(folder, script, *options) as job:
        report = until(job, " in <module>")
    wanted = [
        "disttorch-launch: stalled: ",
        "init_process_group since" if early else "all_reduce #2 of float32 (4,) at job.py:17",
        f"  rank {guilty} (pid ",
        f"at job.py:{line} in stuck",
    ]
    missing = [text for text in wanted if text not in report]
    if report.count("has not arrived") != 1:
        missing.append("one rank to blame")
    return f"{missing} in:\n{report}" if missing else ""


def main(n_jobs: int) -> int:
    """Inject `n_jobs` stalls, kinds and guilty ranks in turn; returns how many were not found."""
    failed = 0
    for i in range(n_jobs):
        kind = list(KINDS)[i % len(KINDS)]
        with tempfile.TemporaryDirectory() as folder:
            missing = check_stall(Path(folder), kind, n_ranks=2 + i % 3, guilty=i % 2)
        if missing:
            failed += 1
            print(f"{i}: {kind}: {missing}", flush=True)
    print(f"{n_jobs - failed} of {n_jobs} stalls were named")
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])) > 0)
