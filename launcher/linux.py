"""The two `prctl` calls that tie a job's processes together, no-ops where they do not exist, and
what a process does with signals.
"""

import ctypes
import os
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to SIGKILL this process when its parent goes; leave at once if it has gone."""
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The parent may have died between the fork and the call, and then no signal would ever come.
    if os.getppid() != parent_pid:
        os._exit(128 + signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants: in a container nobody else would reap them."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def catches(pid: int, signum: int) -> bool:
    """Whether the process has a handler for the signal, which else might end it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return any(mask >> (signum - 1) & 1 for mask in masks)


def _prctl(option: int, argument: int) -> None:
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:  # not Linux: the control socket's end-of-file is then the only leash
        return
    prctl(option, ctypes.c_ulong(argument), 0, 0, 0)
