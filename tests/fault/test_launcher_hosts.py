"""Jobs of two hosts, both of which are this one: two launchers that meet over TCP."""

import socket
import time
from contextlib import ExitStack, contextmanager

import pytest

from disttorch_launcher import host_link
from disttorch_launcher.hosts import HOST_LOST_STATUS
from tests.launcher.jobs import Job, until, wait_gone

pytestmark = pytest.mark.fault

SCRIPT = """
    import os, sys
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    x = torch.ones(1)
    dist.all_reduce(x)
    print(os.environ["GROUP_RANK"], os.environ["LOCAL_RANK"], int(x.item()), flush=True)
    if len(sys.argv) > 1:
        if os.environ["RANK"] == "2":
            raise ValueError("boom")
        dist.barrier()
"""


@contextmanager
def started(folder, script, *options, args=(), n_hosts=2, nproc=2):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = ("--nproc", str(nproc), "--nnodes", str(n_hosts), "--rdzv-endpoint",
              f"127.0.0.1:{port}", "--env", "A=b", "--grace", "2", *options)  # fmt: skip
    with ExitStack() as jobs:
        yield [
            jobs.enter_context(Job(folder, script, *common, "--node-rank", str(node), args=args))
            for node in range(n_hosts)
        ]


def two_hosts(folder, *args):
    with started(folder, SCRIPT, args=args) as jobs:
        return [job.end() for job in jobs]


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("DISTTORCH_KEY", "ab" * 32)


def test_ranks_of_two_hosts_are_one_group(tmp_path):
    first, second = two_hosts(tmp_path)
    assert (first.status, second.status) == (0, 0), first.stderr + second.stderr
    assert sorted(first.stdout.splitlines()) == ["[r0] 0 0 4", "[r1] 0 1 4"]
    assert sorted(second.stdout.splitlines()) == ["[r2] 1 0 4", "[r3] 1 1 4"]


def test_failure_on_one_host_ends_the_job_on_both(tmp_path):
    first, second = two_hosts(tmp_path, "fail")
    assert (first.status, second.status) == (1, 1), first.stderr + second.stderr
    for ended in (first, second):
        assert ended.stderr.endswith("ValueError: boom\n"), ended.stderr
        assert ended.stderr.count("Traceback") == 1
        assert "first cause: rank 2 " in ended.stderr
    assert "\nfrom host 1:\nfirst cause: rank 2 raised ValueError (job.py:11)\n" in first.stderr


RESTARTED = """
    import os, sys
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    x = torch.ones(1)
    dist.all_reduce(x)
    attempt, last = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), int(sys.argv[1])
    print(f"attempt {attempt} of {int(x.item())} ranks", flush=True)
    if attempt < last and os.environ["RANK"] == str(attempt % 4):
        os.kill(os.getpid(), 9)
    dist.all_reduce(x)
"""


@pytest.mark.parametrize(("needed", "status"), [(2, 0), (3, 137)])
def test_all_hosts_restart_together(needed, status, tmp_path):
    with started(tmp_path, RESTARTED, "--max-restarts", "2", args=(str(needed),)) as jobs:
        ended = [job.end() for job in jobs]
    assert [e.status for e in ended] == [status, status], ended[0].stderr + ended[1].stderr
    for node, end in enumerate(ended):
        lines = sorted(end.stdout.splitlines())
        assert lines == [
            f"[r{2 * node + i}] attempt {n} of 4 ranks" for i in range(2) for n in range(3)
        ]
        assert end.stderr.count("restarting all ranks (restart 1 of 2)") == 1
        assert end.stderr.count("restarting all ranks (restart 2 of 2)") == 1


RUNNING = """
    import os
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    x = torch.ones(1)
    dist.all_reduce(x)
    print(os.getpid(), flush=True)
    while True:
        dist.all_reduce(x)
"""
# The others miss what has gone within that, besides the time that their ranks have to end.
NOTICED_S = 5.0


@pytest.mark.parametrize("victim", [0, 1])
def test_host_whose_launcher_is_killed_is_missed_by_the_others(victim, tmp_path):
    with started(tmp_path, RUNNING, "--max-restarts", "3", n_hosts=3 - victim, nproc=1) as jobs:
        ranks = [int(line.split()[1]) for job in jobs for line in job.lines(1)]
        jobs[victim].process.kill()
        since_s = time.monotonic()
        ended = [job.end() for i, job in enumerate(jobs) if i != victim]
        took_s = time.monotonic() - since_s
        assert wait_gone(ranks, within_s=1.0) == []
    for end in ended:
        assert end.status == HOST_LOST_STATUS, end.stderr
        assert f"first cause: host {victim} has gone: its launcher was killed, or" in end.stderr
        assert "restarting" not in end.stderr
    assert took_s < host_link.LOST_S + NOTICED_S


def test_host_that_is_asked_to_stop_stops_the_others(tmp_path):
    with started(tmp_path, RUNNING, "--max-restarts", "3", nproc=1) as jobs:
        for job in jobs:
            job.lines(1)
        jobs[1].process.terminate()
        first, second = (job.end() for job in jobs)
    assert (first.status, second.status) == (143, 143), first.stderr
    assert first.stderr.endswith("\nfrom host 1:\nstopped by SIGTERM; exit status 143\n")
    assert second.stderr.startswith("disttorch-launch: SIGTERM: the ranks have 2 s to end")


STUCK = """
    import os, sys, time
    import disttorch as torch
    import disttorch.distributed as dist
    rank, guilty, early = int(os.environ["RANK"]), int(sys.argv[1]), sys.argv[2] == "early"
    def stuck():
        time.sleep(60)  # here
    if rank == guilty and early:
        stuck()
    dist.init_process_group()
    x = torch.ones(4)
    dist.all_reduce(x)
    if rank == guilty:
        stuck()
    dist.all_reduce(x)
"""


@pytest.mark.parametrize(
    ("guilty", "when", "others", "call"),
    [
        (3, "late", "ranks 0-2", "all_reduce #2 of float32 (4,) at job.py:15"),
        (0, "early", "ranks 1-3", "init_process_group"),
    ],
)
def test_rank_stuck_on_one_host_is_named_on_all(guilty, when, others, call, tmp_path):
    with started(tmp_path, STUCK, "--stall", "0.5", args=(str(guilty), when)) as jobs:
        reports = [until(job, "in <module>") for job in jobs]
    host = guilty // 2
    for node, report in enumerate(reports):
        assert f"stalled: {others} wait in {call} since" in report, report
        where = "(pid " if node == host else f"(host {host}) "
        assert report.count("has not arrived") == 1, report
        assert f"  rank {guilty} {where}" in report, report
        assert "    at job.py:7 in stuck\n" in report, report
    assert f"disttorch-launch: rank {guilty} (pid " in reports[1 - host]
    assert f" on host {host}):\n    at job.py:7 in stuck\n" in reports[1 - host]


def test_time_out_on_one_host_shows_the_stack_on_the_other(tmp_path):
    script = STUCK.replace("init_process_group()", "init_process_group(timeout=1.5)")
    with started(tmp_path, script, "--stall", "1.8", nproc=1, args=("1", "late")) as jobs:
        first, second = (job.end() for job in jobs)
    assert first.status == second.status == 1, first.stderr + second.stderr
    assert "  rank 1 (host 1) has not arrived: its last call" in first.stderr, first.stderr
    assert "all_reduce #2 at job.py:15 timed out after 1.5 s: rank 1 " in first.stderr
    assert "    at job.py:7 in stuck\n" in second.stderr, second.stderr
