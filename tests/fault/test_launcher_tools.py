"""Looking at a job while it runs: real jobs, real commands."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

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


CODE = "import sys; from disttorch_launcher.tools import main; sys.exit(main(sys.argv[1:]))"
TOOLS = (sys.executable, "-c", CODE)


def tool(*words):
    return subprocess.run([*TOOLS, *words], capture_output=True, text=True, timeout=30, check=False)


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


def test_top_on_a_terminal_is_a_table_that_is_drawn_again_until_ctrl_c(tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with Job(tmp_path, SCRIPT, "--nproc", "2") as job:
        job.lines(1)
        top = subprocess.Popen(
            [*TOOLS, "top", "--interval", "0.2", str(job.process.pid)],
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )  # fmt: skip
        os.close(theirs)
        seen, until_s = b"", time.monotonic() + 20.0
        while seen.count(b"samples/s") < 3 and time.monotonic() < until_s:
            if select.select([ours], [], [], 1.0)[0]:
                seen += os.read(ours, 1 << 16)
        top.send_signal(signal.SIGINT)
        status = watched_end(top, ours)
        job.process.terminate()
        job.end()
    os.close(ours)
    assert status == 130, seen
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).decode(errors="replace")
    assert f"job {job.process.pid}" in text
    assert re.search(r"│ +0 │ +\d+ │", text)
    assert "all_reduce" in text


def watched_end(process, terminal):
    """The status of a process whose output has to be read for it to end."""
    while process.poll() is None:
        if select.select([terminal], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                os.read(terminal, 1 << 16)
    process.stderr.close()
    return process.returncode


def test_without_a_job_a_line_says_so():
    ended = tool("stack", "1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("disttorch stack: no job of yours")
    assert ended.stderr.count("\n") == 1
