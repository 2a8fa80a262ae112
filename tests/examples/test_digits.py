"""The main job as a user runs it: the launcher, ranks, a loader with workers, a checkpoint."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "digits.py"
STEPS_PER_EPOCH = 1500 // 60


def job(folder, n_ranks, *arguments):
    """Run the example and return its output and the ranks' reports."""
    report, checkpoint = folder / f"report{n_ranks}", folder / f"digits{n_ranks}.pt"
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", str(n_ranks), str(SCRIPT)]
    command += ["--report", str(report), "--checkpoint", str(checkpoint), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = [json.loads(Path(f"{report}.{r}").read_text()) for r in range(n_ranks)]
    return done.stdout, reports


@pytest.mark.timeout(180)
def test_two_ranks_learn_the_digits_and_resume(tmp_path):
    output, reports = job(tmp_path, 2, "--epochs", "5")
    assert reports[0]["accuracy"] == reports[1]["accuracy"] > 0.85
    assert len(reports[0]["losses"]) == 5 * STEPS_PER_EPOCH
    shares = re.findall(r"epoch (\d)/5: loss [\d.]+, test accuracy ([\d.]+)%", output)
    assert [epoch for epoch, _ in shares] == ["1", "2", "3", "4", "5"]

    output, reports = job(tmp_path, 2, "--epochs", "6", "--resume")
    assert len(reports[0]["losses"]) == STEPS_PER_EPOCH
    assert "epoch 6/6" in output
    assert "epoch 5/6" not in output
    assert reports[0]["accuracy"] > 0.87


@pytest.mark.slow
@pytest.mark.timeout(300)  # three trainings, one of three ranks on perhaps two cores
def test_the_number_of_ranks_does_not_change_the_result(tmp_path):
    arguments = ("--epochs", "9", "--dropout", "0", "--workers", "0")
    curves = []
    for n_ranks in (1, 2, 3):
        _, reports = job(tmp_path, n_ranks, *arguments)
        curves.append(np.mean([r["losses"] for r in reports], axis=0))
        assert len({r["parameters"] for r in reports}) == 1, "the ranks' parameters differ"
    assert len(curves[0]) == 9 * STEPS_PER_EPOCH > 200
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], rtol=1e-4)


@pytest.mark.parametrize("n_ranks", [7])
def test_a_batch_that_does_not_divide_is_refused(tmp_path, n_ranks):
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", str(n_ranks), str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert f"--batch-size 60 is not divisible by {n_ranks} ranks" in done.stdout + done.stderr
