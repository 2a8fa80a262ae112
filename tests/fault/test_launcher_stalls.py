"""Stalls put into real jobs: the report names the rank that keeps the others waiting, and its line.

A few of each kind here; `python -m tests.fault.stalls 50` does as many as asked for.
"""

import pytest

from tests.fault.stalls import KINDS, check_stall
from tests.launcher.jobs import run

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("kind", KINDS)
def test_stall_names_the_rank_and_its_line(kind, tmp_path):
    assert check_stall(tmp_path, kind, n_ranks=3, guilty=1) == ""


LATE = """
    import os, time
    import disttorch as torch, disttorch.distributed as dist
    dist.init_process_group(timeout=1)
    if os.environ["RANK"] == "1":
        time.sleep(60)  # here
    dist.all_reduce(torch.ones(4))
"""


def test_stack_is_shown_before_a_shorter_time_out_stops_the_job(tmp_path):
    ended = run(tmp_path, LATE, "--nproc", "3", "--grace", "0.3")
    assert ended.status == 1
    report, _, rest = ended.stderr.partition("has not arrived: it has made no collective call yet")
    assert "stalled: " in report and "in all_reduce #1 of float32 (4,) at job.py:7" in report
    assert rest.startswith("\n    at job.py:6 in <module>\n"), ended.stderr
    assert "all_reduce #1 at job.py:7 timed out after 1 s: rank 1 (pid " in rest


KILLED = """
    import os
    import disttorch as torch, disttorch.distributed as dist
    dist.init_process_group()
    dist.all_reduce(torch.ones(4))
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), 9)
    dist.barrier()
"""


def test_what_all_ranks_called_last_is_kept_also_of_one_that_was_killed(tmp_path):
    ended = run(tmp_path, KILLED, "--nproc", "2", "--grace", "0.3", "--log-dir", "logs")
    assert ended.status == 137, ended.stderr
    zero, one = (
        next(tmp_path.glob(f"logs/*/attempt_0/{rank}/collectives.txt")).read_text()
        for rank in (0, 1)
    )
    assert one.endswith(" all_reduce #1 of float32 (4,) at job.py:5\n") and "under way" not in one
    last = zero.splitlines()[-1]
    assert "under way" in last and last.endswith(" barrier #2 at job.py:8")
