"""What a test must not leave behind, as a table of probes that conftest.py runs around each test.

A probe maps what is there now to a description of it; what is there afterwards and was not there
before is a leak. On systems without /proc only threads and global state are watched.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path

Found = dict[Hashable, str]

# Processes started by tests inherit this variable, so that orphans are known as ours.
MARK = "DISTTORCH_TEST_SESSION"
# Launcher and tests agree on this folder for run directories; each session has its own.
RUN_DIRECTORIES = "XDG_RUNTIME_DIR"
# A rank's settings must not reach the next test through the environment.
RANK_VARIABLES = ("DISTTORCH_", "TORCHELASTIC_", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "OMP_NUM_")
RANK_NAMES = ("RANK", "WORLD_SIZE")

# Threads that share large operations stay for the next one.
WORKER = "disttorch-worker"

PROC = Path("/proc/self")
SHM = Path("/dev/shm")


def threads() -> Found:
    """Python threads other than the main one and those that share large operations."""
    main = threading.main_thread()
    return {
        t.ident: f"{t.name} (daemon={t.daemon})"
        for t in threading.enumerate()
        if t is not main and not t.name.startswith(WORKER)
    }


def fds() -> Found:
    """Open file descriptors and what each refers to; multiprocessing's own pipes are left out."""
    own = {
        multiprocessing.resource_tracker._resource_tracker._fd,
        multiprocessing.forkserver._forkserver._forkserver_alive_fd,
    }
    found: Found = {}
    for name in os.listdir(PROC / "fd") if PROC.exists() else ():
        # The descriptor that lists the folder is gone again by the time it is looked at.
        with contextlib.suppress(FileNotFoundError):
            if int(name) not in own:
                target = os.readlink(PROC / "fd" / name)
                found[int(name), target] = f"fd {name} -> {target}"
    return found


def children() -> Found:
    """Child processes, zombies included; multiprocessing's servers live as long as we do."""
    found: Found = {}
    for listing in PROC.glob("task/*/children"):
        with contextlib.suppress(FileNotFoundError):
            found.update((pid, describe(pid)) for pid in map(int, listing.read_text().split()))
    return {pid: text for pid, text in found.items() if pid not in _multiprocessing_servers()}


def orphans() -> Found:
    """Processes that a test started, whoever is their parent now."""
    mark = f"{MARK}={os.environ.get(MARK)}".encode()
    found: Found = {}
    for name in os.listdir("/proc") if PROC.exists() else ():
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found[int(name)] = describe(int(name))
    return {pid: text for pid, text in found.items() if pid not in _multiprocessing_servers()}


def _multiprocessing_servers() -> set[int | None]:
    """Processes that multiprocessing starts once and keeps."""
    return {
        multiprocessing.resource_tracker._resource_tracker._pid,
        multiprocessing.forkserver._forkserver._forkserver_pid,
    }


def describe(pid: int) -> str:
    """One line on process `pid`: its command, or that nobody has waited for it."""
    try:
        # The state follows the command's name, which ends with the last parenthesis.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return f"pid {pid}: gone"
    if state == "Z":
        return f"pid {pid}: a zombie that nobody waited for"
    return f"pid {pid}: {command or 'just starting'}"


def shared_memory() -> Found:
    """Shared segments mapped by this process: memfd or POSIX."""
    if not PROC.exists():
        return {}
    lines = [line.split(maxsplit=5) for line in (PROC / "maps").read_text().splitlines()]
    return {
        (inode, name): f"mapping of {name}"
        for *_, inode, name in (line for line in lines if len(line) == 6)
        if name.startswith(("/memfd:", "/dev/shm/"))
    }


def unused_shared_files() -> set[str]:
    """Files in /dev/shm that no process has mapped: what a process that ended forgot there.

    PyTorch, which some tests run beside us, keeps its own for a moment: not ours to judge.
    """
    files = {str(path) for path in SHM.glob("*") if not path.name.startswith("torch_")}
    for maps in Path("/proc").glob("[0-9]*/maps") if files else ():
        with contextlib.suppress(OSError):
            text = maps.read_text()
            files = {name for name in files if name not in text}
    return files


def run_directories() -> Found:
    """Directories of launched jobs."""
    base = os.environ.get(RUN_DIRECTORIES)
    return {name: f"{base}/{name}" for name in os.listdir(base)} if base else {}


def state() -> Found:
    """Settings of the whole process, each as one key: a changed value is a new key."""
    import disttorch

    found: Found = {
        ("default dtype", disttorch.get_default_dtype()): "default dtype",
        ("grad mode", disttorch.is_grad_enabled()): "grad mode",
        ("inference mode", disttorch.is_inference_mode_enabled()): "inference mode",
        ("working directory", os.getcwd()): "working directory",
        ("SIGINT", signal.getsignal(signal.SIGINT)): "handler of SIGINT",
        ("SIGTERM", signal.getsignal(signal.SIGTERM)): "handler of SIGTERM",
    }
    for name, value in os.environ.items():
        if name in RANK_NAMES or name.startswith(RANK_VARIABLES):
            found["environment", name, value] = f"environment variable {name}"
    return {key: f"{text} is now {key[-1]!r}" for key, text in found.items()}


PROBES: dict[str, Callable[[], Found]] = {
    "thread": threads,
    "file descriptor": fds,
    "child process": children,
    "shared memory": shared_memory,
    "run directory": run_directories,
    "global state": state,
}


class LeakCheck:
    """The state of all probes at one moment, to be compared with a later one."""

    def __init__(self) -> None:
        self.before = {kind: probe() for kind, probe in PROBES.items()}
        self.faults = _faults_of_children()

    def left(self) -> list[str]:
        """One line for each thing that is there now and was not before."""
        found = [(kind, self.before[kind], probe()) for kind, probe in PROBES.items()]
        # Looking at every process of the machine is only needed after one of ours has ended.
        if self.faults != _faults_of_children():
            found.append(("process without parent", self.before["child process"], orphans()))
        return [
            f"{kind}: {text}"
            for kind, before, now in found
            for key, text in now.items()
            if key not in before
        ]

    def wait(self, patience_s: float) -> list[str]:
        """Give threads and processes `patience_s` to end; returns what is still left then."""
        deadline = time.monotonic() + patience_s
        left = self.left()
        if left:
            gc.collect()
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = self.left()
        return left

    def kill(self) -> None:
        """End the processes the test left, so that they disturb no other test."""
        ours = {**children(), **orphans()}
        for pid in ours.keys() - self.before["child process"].keys():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _faults_of_children() -> int:
    """A number that grows with each child that was waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
