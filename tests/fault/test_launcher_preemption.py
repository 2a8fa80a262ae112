"""Signals that stop a job for a while, or that ask it to end when it suits it."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.launcher.jobs import Job

pytestmark = pytest.mark.fault


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_ctrl_z_stops_the_whole_job_and_fg_lets_it_go_on(tmp_path):
    script = """
        import os, signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
        signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"goes on\\n"))
        print(os.getpid(), flush=True)
        while True:
            signal.pause()
    """
    with Job(tmp_path, script, "--nproc", "2") as job:
        ranks = [int(line.split()[1]) for line in job.lines(2)]
        job.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, job.process.pid, os.WSTOPPED)
        for rank in ranks:  # told before the launcher stopped itself, by the zygote
            while state_of(rank) != "T":
                os.sched_yield()
        job.process.send_signal(signal.SIGCONT)
        assert sorted(job.lines(2)) == ["[r0] goes on", "[r1] goes on"]
        job.process.send_signal(signal.SIGUSR1)
        assert job.end().status == 0


STOPPED_IN_A_COLLECTIVE = """
    import os, signal
    import disttorch as torch
    import disttorch.distributed as dist
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    dist.init_process_group()
    print("ready", flush=True)
    if os.environ["RANK"] == "1":
        signal.sigwait([signal.SIGUSR1])
    dist.all_reduce(torch.ones(1))
"""
TIMEOUT_S = 3.0


def test_time_stopped_by_ctrl_z_is_neither_late_nor_a_stall(tmp_path):
    options = ("--nproc", "2", "--timeout", str(TIMEOUT_S), "--stall", "1.5", "--grace", "1")
    with Job(tmp_path, STOPPED_IN_A_COLLECTIVE, *options) as job:
        job.lines(2)
        job.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, job.process.pid, os.WSTOPPED)
        time.sleep(1.1 * TIMEOUT_S)  # what must not count
        job.process.send_signal(signal.SIGCONT)
        job.process.send_signal(signal.SIGUSR1)
        ended = job.end()
    assert (ended.status, ended.stderr) == (0, "")


PREEMPTED = """
    import os
    import disttorch.distributed as dist
    dist.init_process_group()
    dist.preempted()
    print("ready", flush=True)
    step = 0
    while not dist.preempted():
        step += 1
    print("saved at", step, flush=True)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_all_ranks_are_preempted_at_the_same_step(tmp_path, signum):
    with Job(tmp_path, PREEMPTED, "--nproc", "2") as job:
        job.lines(2)
        job.process.send_signal(signum)
        ended = job.end()
    assert ended.status == 0, ended.stderr
    first, second = (line.split(" ", 1)[1] for line in ended.stdout.splitlines())
    assert first == second and first.startswith("saved at ")


def test_signal_to_a_single_rank_preempts_all(tmp_path):
    script = PREEMPTED.replace('"ready"', '"ready", os.getpid()')
    with Job(tmp_path, script, "--nproc", "2") as job:
        os.kill(int(job.lines(2)[0].split()[2]), signal.SIGUSR1)
        ended = job.end()
    assert ended.status == 0
    assert len({line.split(" ", 1)[1] for line in ended.stdout.splitlines()}) == 1
