"""Jobs started, killed in every way and started again: `python -m tests.fault.cycles 200`.

After each of them nothing may be left: no process, no run directory, no descriptor here.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.launcher.jobs import Job, wait_gone

SCRIPT = """
    import os, signal, sys
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    x = torch.ones(8)
    dist.all_reduce(x)
    print(os.getpid(), flush=True)
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "1":
        sys.exit(0)
    while True:
        dist.all_reduce(x)
"""
LIMIT_S = 3.0

Deed = Callable[[Job, list[int]], None]


def _zygote(job: Job) -> int:
    pid = job.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


# name: (options, what is done to the job once its ranks run, the status it must end with)
CYCLES: dict[str, tuple[tuple[str, ...], Deed, int]] = {
    "kill -9 of a rank, and a restart": (
        ("--max-restarts", "1"), lambda job, ranks: os.kill(ranks[0], signal.SIGKILL), 0),
    "kill -9 of a rank": ((), lambda job, ranks: os.kill(ranks[-1], signal.SIGKILL), 137),
    "kill -9 of the launcher": ((), lambda job, ranks: job.process.kill(), -9),
    "kill -9 of the zygote": ((), lambda job, ranks: os.kill(_zygote(job), signal.SIGKILL), 70),
    "SIGTERM": ((), lambda job, ranks: job.process.terminate(), 143),
    "Ctrl-C": ((), lambda job, ranks: job.process.send_signal(signal.SIGINT), 130),
    "SIGSEGV of a rank": ((), lambda job, ranks: os.kill(ranks[0], signal.SIGSEGV), 139),
}  # fmt: skip


def cycle(folder: Path, name: str, n_ranks: int) -> str:
    """One job; returns what went wrong, or ""."""
    options, deed, status = CYCLES[name]
    with Job(folder, SCRIPT, "--nproc", str(n_ranks), "--grace", "1", *options) as job:
        ranks = [int(line.split()[1]) for line in job.lines(n_ranks)]
        began_s = time.monotonic()
        deed(job, ranks)
        ended = job.end()
        took_s = time.monotonic() - began_s
        alive = wait_gone(ranks, within_s=1.0)
    wrong = []
    if ended.status != status:
        wrong.append(f"status {ended.status}, not {status}: {ended.stderr}")
    if alive:
        wrong.append(f"alive a second later: {alive}")
    if took_s > LIMIT_S:
        wrong.append(f"took {took_s:.1f} s")
    return "; ".join(wrong)


def main(n_cycles: int) -> int:
    """Run `n_cycles` jobs, kinds in turn; returns how many went wrong, and what leaked.

    SIGTERM ends it earlier, with the figures so far.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed, done, fds = 0, 0, len(os.listdir("/proc/self/fd"))
    try:
        with tempfile.TemporaryDirectory(prefix="dt", dir="/tmp") as base:
            os.environ["XDG_RUNTIME_DIR"] = base
            for done in range(n_cycles):
                failed += _is_wrong(done, base)
            done = n_cycles
    except KeyboardInterrupt:
        pass
    leaked = len(os.listdir("/proc/self/fd")) - fds
    print(f"{done - failed} of {done} cycles were as they should; {leaked} fds leaked")
    return failed + leaked


def _is_wrong(number: int, base: str) -> bool:
    name = list(CYCLES)[number % len(CYCLES)]
    with tempfile.TemporaryDirectory() as folder:
        wrong = cycle(Path(folder), name, n_ranks=2 + number % 2)
    deadline_s = time.monotonic() + 3.0
    while os.listdir(base) and time.monotonic() < deadline_s:
        time.sleep(0.01)  # the zygote removes it after the launcher has ended
    left = os.listdir(base)
    if wrong or left:
        print(f"{number}: {name}: {wrong} {left}", flush=True)
    return bool(wrong or left)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])) > 0)
