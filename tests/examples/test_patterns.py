"""The short examples: each runs as its first lines say, and what it promises is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(n_ranks, script, *arguments):
    """What an example prints on so many ranks."""
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", str(n_ranks)]
    command += [str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def losses(output):
    return [float(found) for found in re.findall(r"loss ([\d.]+)", output)]


def test_accumulated_gradients_are_those_of_the_whole_batch_also_with_zero():
    alone, spread = run(1, "accumulate.py"), run(2, "accumulate.py", "--zero")
    assert losses(alone) == pytest.approx(losses(spread), abs=1e-3)
    assert len(losses(alone)) == 4
    assert losses(alone)[-1] < losses(alone)[0] / 4
    assert "mean of 10 steps, ms" in spread


def test_a_checkpoint_is_gone_on_from_on_another_number_of_ranks(tmp_path):
    straight = run(1, "checkpoint.py", "--folder", tmp_path / "straight")
    first = run(2, "checkpoint.py", "--folder", tmp_path / "run", "--steps", 20)
    then = run(3, "checkpoint.py", "--folder", tmp_path / "run")
    assert "steps 0 to 20:" in first
    assert "steps 20 to 30:" in then
    assert losses(then) == pytest.approx(losses(straight), abs=1e-5)
    assert "steps 30 to 30:" in run(2, "checkpoint.py", "--folder", tmp_path / "run")


def test_a_split_layer_learns_as_the_whole_one():
    whole, split = run(1, "tensor_parallel.py"), run(4, "tensor_parallel.py")
    assert losses(whole) == pytest.approx(losses(split), abs=1e-4)
    assert len(losses(whole)) == 4
    assert losses(whole)[-1] < losses(whole)[0] / 4


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_is_found_from_readme(script):
    assert f"examples/{script}" in (EXAMPLES.parent / "README.md").read_text()
