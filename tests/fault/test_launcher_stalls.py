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
