"""How soon failures are told, and end a job: `python -m tests.fault.promptness 20`."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.launcher.jobs import Job

GRACE_S = 1.0
# Of what is promised: until the first line of a failing rank, until a job with a killed rank ends.
TOLD_WITHIN_S = 1.0
ENDED_WITHIN_S = GRACE_S + 1.0

RAISES = """
    import os, signal, time
    import disttorch.distributed as dist
    dist.init_process_group()
    dist.barrier()
    if os.environ["RANK"] == "1":
        print(time.monotonic(), flush=True)
        raise ValueError("boom")
    signal.pause()
"""
# One that has to be killed, so that the grace period is used up.
STAYS = """
    import os, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), os.environ["RANK"], flush=True)
    while True:
        signal.pause()
"""


def told_after_s(folder: Path) -> float:
    """Seconds from the statement that raises to the first line about it on the screen."""
    with Job(folder, RAISES, "--nproc", "2", "--grace", "0.2") as job:
        (raised,) = job.lines(1)
        line = job.process.stderr.readline().decode()
        told_s = time.monotonic()
        job.end()
    if "rank 1 raised ValueError: boom" not in line:
        raise AssertionError(f"the first line is {line!r}")
    return told_s - float(raised.split()[-1])


def ended_after_s(folder: Path, victim: int) -> float:
    """Seconds from `kill -9` of a rank, where the others ignore SIGTERM, to the launcher's end."""
    with Job(folder, STAYS, "--nproc", "3", "--grace", str(GRACE_S)) as job:
        pids = {int(words[2]): int(words[1]) for words in map(str.split, job.lines(3))}
        killed_s = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        ended = job.end()
        ended_s = time.monotonic()
    if ended.status != 128 + signal.SIGKILL:
        raise AssertionError(f"status {ended.status}: {ended.stderr}")
    return ended_s - killed_s


def main(n_jobs: int) -> int:
    """Measure `n_jobs` of each; returns how many of both took too long."""
    with tempfile.TemporaryDirectory() as folder:
        told = [told_after_s(Path(folder)) for _ in range(n_jobs)]
        ended = [ended_after_s(Path(folder), i % 3) for i in range(n_jobs)]
    for what, found, most_s in (
        ("a failure is on the screen", told, TOLD_WITHIN_S),
        ("a killed rank ends the job", ended, ENDED_WITHIN_S),
    ):
        middle = statistics.median(found)
        print(f"{what} after {middle:.3f} s, at most {max(found):.3f} s (promised: {most_s} s)")
    return sum(t > TOLD_WITHIN_S for t in told) + sum(e > ENDED_WITHIN_S for e in ended)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])) > 0)
