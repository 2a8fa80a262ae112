"""Draw what a terminal shows of a job with a rank that is held up: docs/stall.svg.

`python docs/draw_stall.py` runs examples/stall.py under the launcher, in a terminal of its own.
"""

from __future__ import annotations

import io
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "stall.py"
OPTIONS = ("--nproc", "3", "--stall", "2", "train.py")
COLUMNS = 120


def screen(folder: str) -> str:
    """Run the example in `folder` and return what a terminal is sent, colours included."""
    shutil.copy(EXAMPLE, Path(folder, OPTIONS[-1]))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "disttorch_launcher", *OPTIONS]
    job = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    sent = io.BytesIO()
    while True:
        try:
            sent.write(os.read(ours, 4096))
        except OSError:  # EIO: the last process with the terminal has ended
            break
    os.close(ours)
    if job.wait(timeout=10):
        raise SystemExit(f"the job ended with status {job.returncode}")
    return sent.getvalue().decode().replace("\r\n", "\n")


def main() -> None:
    """Write the drawing."""
    with tempfile.TemporaryDirectory() as folder:
        shown = screen(folder)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(shown))
    title = f"disttorch-launch {' '.join(OPTIONS)}"
    console.save_svg(str(HERE / "stall.svg"), title=title, unique_id="stall")


if __name__ == "__main__":
    main()
