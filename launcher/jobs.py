"""Finding a running job for `disttorch stack` and `disttorch top`."""

import os
from pathlib import Path

from disttorch_launcher import control
from disttorch_launcher.run_directory import choose_base


class NoJobError(Exception):
    """There is no such job; the text says what to do."""


def find_job(name: str) -> Path:
    """The run directory of a job: by its launcher's pid, its path, or the newest one if empty.

    Raises NoJobError where there is none.
    """
    if os.path.isdir(name):
        return Path(name)
    try:
        base = choose_base(os.environ)
    except OSError as error:
        raise NoJobError(str(error)) from None
    jobs = control.running_jobs(base)
    if not jobs:
        raise NoJobError(f"no job of yours runs on this host (looked in {base})")
    if not name:
        return jobs[-1]
    for job in jobs:
        if launcher_pid(job) == name:
            return job
    known = ", ".join(launcher_pid(job) for job in jobs)
    raise NoJobError(f"no job of yours has the launcher {name}; there are: {known}")


def launcher_pid(run_dir: Path) -> str:
    """The pid of a job's launcher, which its run directory is named after."""
    return run_dir.name.split("-")[1]
