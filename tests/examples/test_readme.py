"""What README shows a newcomer runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_training_script_runs_on_two_ranks(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "init_process_group" in block)
    path = tmp_path / "train.py"
    path.write_text(script)
    command = [sys.executable, "-m", "disttorch_launcher", "--nproc", "2", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
