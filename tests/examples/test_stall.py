"""The stall that README shows: the missing rank is named, with its line, and the job goes on."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_rank_that_is_held_up_is_named_and_the_job_ends_well():
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", "3", "--stall", "2"]
    command.append(str(ROOT / "examples" / "stall.py"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"stalled: ranks 0,2 wait in all_reduce #3 of float32 \(1000,\)", done.stderr)
    assert re.search(r"rank 1 \(pid \d+\) has not arrived", done.stderr)
    assert "in read_shard" in done.stderr
    assert done.stdout.count("step ") == 4


def test_the_picture_in_readme_is_of_this_report():
    assert "docs/stall.svg" in (ROOT / "README.md").read_text()
    shown = (ROOT / "docs" / "stall.svg").read_text().replace("&#160;", " ")
    assert "ranks 0,2 wait in all_reduce #3 of float32 (1000,)" in shown
    assert "in read_shard" in shown
