"""Looking at a job while it runs: real jobs, real commands."""

import re
import subprocess
import sys

import pytest

from tests.launcher.jobs import Job

pytestmark = pytest.mark.fault

SCRIPT = """
    import os, signal
    import disttorch as torch
    import disttorch.distributed as dist
    dist.init_process_group()
    x = torch.nn.Parameter(torch.ones(2))
    sgd = torch.optim.SGD([x], lr=0.1)
    def work():
        if int(os.environ["RANK"]) == 0:
            print("working", flush=True)
        while True:
            dist.all_reduce(x.data)
            x.grad = torch.ones(2)
            sgd.step()
    work()
"""


def tool(*words):
    code = "import sys; from disttorch_launcher.tools import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_stack_and_top_of_a_running_job(tmp_path):
    with Job(tmp_path, SCRIPT, "--nproc", "2") as job:
        job.lines(1)
        stack = tool("stack", str(job.process.pid))
        top = tool("top", "--once", "--interval", "0.3", str(job.process.pid))
        job.process.terminate()
        job.end()
    assert stack.returncode == 0, stack.stderr
    assert re.findall(r"rank (\d) \(pid \d+\):", stack.stdout) == ["0", "1"]
    assert stack.stdout.count(" in work\n") == 2
    lines = top.stdout.splitlines()
    assert lines[0].split()[:3] == ["rank", "pid", "steps/s"]
    assert [line.split()[0] for line in lines[1:3]] == ["0", "1"]
    assert all(float(line.split()[2]) > 10 for line in lines[1:3])
    assert "all_reduce #" in lines[1]


def test_without_a_job_a_line_says_so():
    ended = tool("stack", "1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("disttorch stack: no job of yours")
    assert ended.stderr.count("\n") == 1
