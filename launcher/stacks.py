"""The Python stack of a rank, also while it is stuck in a C call that holds the interpreter.

A rank registers STACK_SIGNAL with faulthandler, whose handler runs without the interpreter's lock
and writes to a file of the run directory. `StackRequest` is the launcher's side: it notes how long
the files are, has the signal sent, and looks until they have grown and grow no more.
"""

import faulthandler
import fcntl
import itertools
import os
import re
import resource
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

STACK_SIGNAL = signal.SIGRTMAX - 3
LOOK_EVERY_S = 0.05
PATIENCE_S = 1.5
# A script that closes "all" descriptors means those below a few hundred.
HIGH_FD = 900
MAX_FRAMES = 12
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+.*$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$')
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_HIDDEN = ("<frozen runpy>", "<frozen importlib")


def stack_file(run_dir: str, restarts: int, rank: int) -> str:
    """Where a rank writes its stacks."""
    return os.path.join(run_dir, f"stack-{restarts}-{rank}.txt")


def answer_requests(path: str) -> None:
    """In a rank: write the stacks of all threads to `path` whenever STACK_SIGNAL comes."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        low_fd = os.open(path, flags, 0o600)
    except OSError:
        return  # the disk is full: this rank will not answer, and says so by having no file
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        fd = fcntl.fcntl(low_fd, fcntl.F_DUPFD_CLOEXEC, max(3, min(HIGH_FD, limit - 16)))
    finally:
        os.close(low_fd)
    faulthandler.register(STACK_SIGNAL, fd, all_threads=True)


class StackRequest:
    """One question to some ranks; `answers` fills as they come."""

    def __init__(self, run_dir: str, restarts: int, ranks: Iterable[int], now_s: float) -> None:
        self._paths = {rank: Path(stack_file(run_dir, restarts, rank)) for rank in ranks}
        self._sizes = {rank: _size(path) for rank, path in self._paths.items()}
        self._seen = dict(self._sizes)
        self._until_s = now_s + PATIENCE_S
        self.due_s = now_s + LOOK_EVERY_S
        self.answers: dict[int, str] = {}

    @property
    def asked(self) -> list[int]:
        """The ranks that have a file to answer into; to others the signal would be deadly."""
        return [rank for rank, path in self._paths.items() if path.exists()]

    def look(self, now_s: float) -> bool:
        """Read what has come; True once all have answered or have had their time."""
        self.due_s = now_s + LOOK_EVERY_S
        for rank, path in self._paths.items():
            size = _size(path)
            if rank not in self.answers and size > self._sizes[rank] and size == self._seen[rank]:
                self.answers[rank] = _tail(path, self._sizes[rank])
            self._seen[rank] = size
        return len(self.answers) == len(self._paths) or now_s >= self._until_s


def main_frames(dump: str) -> list[str]:
    """Of a dump of all threads, the user's part of the main thread's stack, innermost first.

    Lines such as `train.py:12 in work`.
    """
    threads = [part.splitlines()[1:] for part in _split_threads(dump)]
    if not threads:
        return []
    # The main thread is the one that the launcher's bootstrap runs in; else the oldest, the last.
    main = next((t for t in threads if any(_FOLDER in line for line in t)), threads[-1])
    library = tuple(
        os.path.join(f, "") for f in getattr(sys.modules.get("disttorch"), "__path__", ())
    )
    frames: list[re.Match[str]] = []
    for found in filter(None, map(_FRAME.match, main)):
        if os.path.dirname(found["file"]) == _FOLDER:
            break
        if not found["file"].startswith(_HIDDEN):
            frames.append(found)
    own = [found for found in frames if not found["file"].startswith(library)]
    return [
        f"{_shortest(found['file'])}:{found['line']} in {found['name']}"
        for found in (own or frames)[:MAX_FRAMES]
    ]


def process_state(pid: int) -> str:
    """In words, where the kernel has a process that answers nothing; empty if it just runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
    words = {
        "T": "is stopped (SIGSTOP or a debugger; `kill -CONT` makes it go on)",
        "t": "is held by a debugger",
        "D": "waits inside the kernel, as for a disk or a network file system",
    }
    return words.get(state, "")


def _split_threads(dump: str) -> list[str]:
    starts = [found.start() for found in _THREAD.finditer(dump)]
    return [dump[a:b] for a, b in itertools.pairwise([*starts, len(dump)])]


def _shortest(path: str) -> str:
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    return min(path, relative, key=len)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _tail(path: Path, start: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def stack_lines(dump: str | None, pid: int, indent: str = "    ") -> list[str]:
    """What to print of one rank's answer, or why there is none."""
    state = process_state(pid)
    if dump is None:
        return [f"{indent}{state or 'does not answer; its stack is not known'}"]
    return [f"{indent}at {frame}" for frame in main_frames(dump)] or [f"{indent}in no Python code"]


def all_lines(answers: Mapping[int, str], pids: Mapping[int, int]) -> list[str]:
    """The stacks of all threads of all ranks, as `disttorch stack` prints them."""
    lines = []
    for rank in sorted(pids):
        lines.append(f"rank {rank} (pid {pids[rank]}):")
        dump = answers.get(rank)
        if dump is None:
            lines += stack_lines(None, pids[rank], "  ")
        else:
            lines += [f"  {line}" for line in dump.rstrip().splitlines()]
    return lines
