"""Output that goes wrong: too much of it, nowhere to write it, logs that cannot be made."""

import os
import re
import subprocess
import sys

import pytest

from disttorch_launcher.rank_sets import parse_ranks
from tests.launcher.jobs import LAUNCH, run

pytestmark = pytest.mark.fault

# The suite has better things to do than to read 100 MiB each time; so that it can be done:
N_MIB = int(os.environ.get("DISTTORCH_OUTPUT_MIB", "24"))


def launch(folder, script, *options, **more):
    (folder / "job.py").write_text(script)
    command = [*LAUNCH, *options, "job.py"]
    return subprocess.run(
        command, cwd=folder, timeout=40, check=False, stderr=subprocess.PIPE, text=True, **more
    )


def test_much_output_of_many_ranks_comes_whole(tmp_path):
    """From three ranks, so through what collapses equal lines."""
    script = (
        "import os, sys\nline = b'r%d ' % int(os.environ['RANK']) + b'x' * 1019 + b'\\n'\n"
        f"for _ in range({N_MIB} * 1024 // 3): sys.stdout.buffer.write(line)\n"
    )
    with open(tmp_path / "out", "wb") as out:
        ended = launch(tmp_path, script, "--nproc", "3", stdout=out)
    assert (ended.returncode, ended.stderr) == (0, "")
    n_lines = dict.fromkeys((b"[r0] r0 x", b"[r1] r1 x", b"[r2] r2 x"), 0)
    with open(tmp_path / "out", "rb") as out:
        for line in out:
            n_lines[line[:9]] += 1
            assert len(line) == 5 + 1023
    assert set(n_lines.values()) == {N_MIB * 1024 // 3}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk_below_standard_output_is_said_and_ends_the_job(tmp_path):
    with open("/dev/full", "w") as full:
        ended = launch(tmp_path, "import time\nprint('x', flush=True)\ntime.sleep(60)", stdout=full)
    assert ended.returncode == 141
    assert "disttorch-launch: standard output: No space left on device" in ended.stderr


def test_log_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "logs").touch()
    ended = launch(tmp_path, "print('never')", "--log-dir", "logs", stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "disttorch-launch: error: --log-dir logs: Not a directory; name a folder that can be "
        "written\n"
    )


def test_equal_lines_of_a_crowd_are_printed_once(tmp_path):
    script = "import os\nprint('loaded')\nprint('mine is', os.environ['RANK'])\n"
    ended = run(tmp_path, script, "--nproc", "3")
    lines = [line.partition("] ") for line in ended.stdout.splitlines()]
    # How many of them come within a moment is up to the machine; no rank may be lost or doubled.
    shown = [parse_ranks(head[2:]) for head, _, text in lines if text == "loaded"]
    ranks = [r for ranges in shown for first, last in ranges for r in range(first, last + 1)]
    assert sorted(ranks) == [0, 1, 2]
    assert {f"[r{r}] mine is {r}" for r in range(3)} <= set(ended.stdout.splitlines())
    ended = run(tmp_path, script, "--nproc", "3", "--no-collapse")
    assert ended.stdout.count("loaded") == 3


def test_show_leaves_the_others_out(tmp_path):
    script = "import os, sys\nprint('out')\nprint('err', file=sys.stderr)\n"
    ended = run(tmp_path, script, "--nproc", "2", "--show", "all:err,0:both")
    assert (ended.stdout, sorted(ended.stderr.splitlines())) == (
        "[r0] out\n",
        ["[r0] err", "[r1] err"],
    )


def test_error_of_a_rank_that_is_not_shown_is_still_reported(tmp_path):
    script = "import os\nif os.environ['RANK'] == '1': raise ValueError('boom')\n"
    ended = run(tmp_path, script, "--nproc", "2", "--show", "0")
    assert ended.stderr.endswith("ValueError: boom\n")


FULL = """
import errno, os, socket, sys
class Full(socket.socket):
    def bind(self, address):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
socket.socket = Full
from disttorch_launcher.cli import main
sys.exit(main(["--nproc", "2", "job.py"]))
"""


def test_run_directory_without_room_for_a_socket_is_one_line(tmp_path):
    (tmp_path / "job.py").write_text("")
    env = os.environ | {"XDG_RUNTIME_DIR": "", "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert re.fullmatch(
        r"disttorch-launch: error: run directory /\S+: No space left on device\n", ended.stderr
    )
    assert os.listdir(tmp_path) == ["job.py"]
