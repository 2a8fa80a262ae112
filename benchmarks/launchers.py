"""Starting programs under each library, and what is said when they fail."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence

LIBRARIES = ("torch", "disttorch")
PROGRAM_TIMEOUT_S = 120.0
MAX_QUOTED = 2000


class BodyError(RuntimeError):
    """A measured program did not start, failed or did not answer; the text ends with its output."""


def installed(library: str) -> bool:
    """Whether the library can be imported, without importing it."""
    return importlib.util.find_spec(library) is not None


def command(library: str, n_ranks: int, script: Sequence[str]) -> list[str]:
    """How to start `script` (path and arguments) with `n_ranks` ranks; one rank is plain Python."""
    if n_ranks == 1:
        return [sys.executable, *script]
    launchers = {
        "torch": ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}"],
        "disttorch": ["-m", "disttorch_launcher", "--nproc", str(n_ranks)],
    }
    return [sys.executable, *launchers[library], *script]


def output_of(program: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; raises BodyError if it fails."""
    try:
        run = subprocess.run(
            program,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise BodyError(f"did not end within {PROGRAM_TIMEOUT_S:g} s") from error
    if run.returncode:
        raise BodyError(f"ended with status {run.returncode}\n{run.stderr[-MAX_QUOTED:]}")
    return run.stdout
