"""Jobs whose ranks disagree in a collective: an error that names them, and nothing left."""

import re
import signal

import pytest

from tests.launcher.jobs import Job, run, startup_s

pytestmark = pytest.mark.fault

LIMIT_S = 5.0
JOINED = """
import os, signal, sys, time
import disttorch as torch
import disttorch.distributed as dist
rank = int(os.environ["RANK"])
if __name__ == "__main__":
    {before}
    dist.init_process_group()
    {after}
"""


def job(after, before="pass"):
    return JOINED.format(before=before, after=after)


# name: (script, status, what stderr says)
DISAGREE = {
    "leaves before joining": (
        job("", before="if rank == 1: sys.exit(0)"), 1,
        ["first cause: rank 1 ended with exit status 0 while rank 0 still needed it"]),
    "fails before joining": (
        job("", before="if rank == 1: raise ValueError('boom')"), 1,
        ["first cause: rank 1 raised ValueError"]),
    "is killed before joining": (
        job("", before="if rank == 1: os.kill(os.getpid(), signal.SIGKILL)"), 137,
        ["first cause: rank 1 was killed by SIGKILL"]),
    "leaves without the collective": (
        job("if rank == 0: dist.all_reduce(torch.ones(3))"), 1,
        ["PeerLostError", "rank 1 ended with exit status 0 while rank 0 still needed it"]),
    "fails while the others are in a collective": (
        job("dist.all_reduce(torch.ones(3 if rank == 0 else [][rank]))"), 1,
        ["PeerLostError", "first cause: rank 1 raised IndexError"]),
    "is killed while the others are in a collective": (
        job("if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n    dist.barrier()"), 137,
        ["PeerLostError", "first cause: rank 1 was killed by SIGKILL"]),
    "has another shape": (
        job("dist.all_reduce(torch.ones(3 + rank))"), 1,
        ["CollectiveMismatchError", "rank", "(3,)", "(4,)"]),
    "has another dtype": (
        job("dist.all_reduce(torch.ones(3, dtype=[torch.float32, torch.float64][rank]))"), 1,
        ["CollectiveMismatchError", "float32", "float64"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DISAGREE)
def test_rank_that(name, tmp_path):
    script, status, words = DISAGREE[name]
    ended = run(tmp_path, script, "--nproc", "2")
    assert ended.status == status, ended.stderr
    for text in words:
        assert text in ended.stderr, ended.stderr
    assert ended.stderr.count("Traceback (most recent call last)") <= 1
    assert ended.wall_s - startup_s() < LIMIT_S


def test_job_that_joins_reduces_and_leaves(tmp_path):
    after = "t = torch.ones(2) * (rank + 1); dist.all_reduce(t); print(t.tolist())"
    ended = run(tmp_path, job(after), "--nproc", "3")
    assert ended.status == 0, ended.stderr
    # Equal lines that come together are one: [r0-2].
    assert {line.partition("] ")[2] for line in ended.stdout.splitlines()} == {"[6.0, 6.0]"}
    assert set(re.findall(r"\d(?=[\d,-]*\] \[6)", ended.stdout)) >= {"0", "2"}
    assert ended.stderr == ""


COUNTED = "attempt = int(os.environ['TORCHELASTIC_RESTART_COUNT']); "


def test_restarts_until_it_succeeds(tmp_path):
    after = COUNTED + "dist.barrier(); print('attempt', attempt); sys.exit(attempt < 2 and rank)"
    ended = run(tmp_path, job(after), "--nproc", "2", "--max-restarts", "3")
    assert ended.status == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == [
        f"[r{rank}] attempt {attempt}" for rank in range(2) for attempt in range(3)
    ]
    assert "restart 1 of 3" in ended.stderr and "restart 2 of 3" in ended.stderr
    assert "restart 3 of 3" not in ended.stderr


def test_restarts_only_so_often(tmp_path):
    after = COUNTED + "dist.barrier(); print(attempt); os.kill(os.getpid(), signal.SIGKILL)"
    ended = run(tmp_path, job(after), "--nproc", "2", "--max-restarts", "2")
    assert ended.status == 137
    assert {line.split()[1] for line in ended.stdout.splitlines()} <= {"0", "1", "2"}
    assert "restart 2 of 2" in ended.stderr


def test_what_fails_before_joining_is_not_restarted(tmp_path):
    script = job("", before="import no_such_module")
    ended = run(tmp_path, script, "--nproc", "2", "--max-restarts", "3")
    assert ended.status == 1
    assert "restarting" not in ended.stderr
    assert "failed before it joined the process group, and would fail again" in ended.stderr


def test_ctrl_c_in_a_collective(tmp_path):
    after = "print('in', flush=True); time.sleep(600 * rank); dist.barrier()"
    with Job(tmp_path, job(after), "--nproc", "2") as running:
        running.lines(2)
        running.process.send_signal(signal.SIGINT)
        ended = running.end()
    assert ended.status == 130
    assert "Traceback" not in ended.stderr
    assert ended.wall_s - startup_s() < LIMIT_S
