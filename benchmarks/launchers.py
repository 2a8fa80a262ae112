"""The command lines that start a script under each library."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

LIBRARIES = ("torch", "disttorch")


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
