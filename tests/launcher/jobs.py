"""Real jobs for tests: a script's text goes in, what the command printed and left comes out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Far above what any job here needs; a launcher that hangs is ended by it.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Ended:
    """How a launcher ended; `wall_s` from its start to its end, in seconds."""

    status: int
    stdout: str
    stderr: str
    wall_s: float


class Job:
    """A running `disttorch-launch`; use as a context manager, which kills what is left of it."""

    def __init__(self, folder: Path, script: str, *options: str, args: tuple[str, ...] = ()):
        path = folder / "job.py"
        path.write_text(textwrap.dedent(script))
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*LAUNCH, *options, str(path), *args],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()

    def lines(self, n: int) -> list[str]:
        """The next `n` lines of standard output."""
        return [self.process.stdout.readline().decode().rstrip("\n") for _ in range(n)]

    def end(self) -> Ended:
        """Wait for the launcher, PATIENCE_S at most."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        wall_s = time.monotonic() - self.started_s
        text = (out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"))
        return Ended(self.process.returncode, *text, wall_s)


LAUNCH = (sys.executable, "-m", "disttorch_launcher")


def run(folder: Path, script: str, *options: str, args: tuple[str, ...] = ()) -> Ended:
    """Run a job to its end."""
    with Job(folder, script, *options, args=args) as job:
        return job.end()


@cache
def startup_s() -> float:
    """Seconds that a job with an empty script takes on this machine, now."""
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), "", "--nproc", "2").wall_s


def is_alive(pid: int) -> bool:
    """True unless the process is gone or a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while we read
        return False
    return state != "Z"


def wait_gone(pids: list[int], within_s: float) -> list[int]:
    """The processes that are still alive after `within_s` seconds, as soon as there are none."""
    watched = {}
    for pid in pids:
        try:
            watched[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
    deadline_s = time.monotonic() + within_s
    try:
        for fd in watched.values():
            _readable(fd, deadline_s - time.monotonic())
    finally:
        for fd in watched.values():
            os.close(fd)
    return [pid for pid in pids if is_alive(pid)]


def _readable(fd: int, timeout_s: float) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(max(0.0, timeout_s) * 1000)


def until(job: Job, last: str) -> str:
    """What comes on standard error up to the line with `last`, PATIENCE_S at most."""
    watchdog = threading.Timer(PATIENCE_S, job.process.kill)
    watchdog.start()
    lines = []
    for line in job.process.stderr:
        lines.append(line.decode())
        if last in lines[-1]:
            break
    watchdog.cancel()
    watchdog.join()
    return "".join(lines)
