"""The ranks' output in files: <log-dir>/<job>/attempt_<k>/<rank>/stdout.log and stderr.log.

Of an attempt that failed, collectives.txt holds each rank's latest calls. What a rank wrote is
there byte for byte. A file that cannot be written any more is given up, once
and in words, and what was to go there alone goes to the screen: nothing is lost in silence.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from disttorch_launcher.config import LogPlan
from disttorch_launcher.rank_sets import STDERR, STDOUT

if TYPE_CHECKING:  # it imports disttorch, which is for later
    from disttorch_launcher.ranks import RankSlot

NAMES = {STDOUT: "stdout.log", STDERR: "stderr.log"}


class LogFiles:
    """The files of one job; `plan` says whose output goes where."""

    def __init__(self, plan: LogPlan, folder: Path | None, slots: "Sequence[RankSlot]") -> None:
        self.folder = folder
        self._plan = plan
        self._local_rank = {slot.rank: slot.local_rank for slot in slots}
        self._fds: dict[tuple[int, int], int] = {}

    def open_attempt(self, restarts: int) -> str:
        """Make the files of attempt number `restarts`; returns in words what failed, else ""."""
        self.close()
        if self.folder is None:
            return ""
        wanted = [
            (rank, stream)
            for rank in self._local_rank
            for stream in NAMES
            if self._plan.tee.has(rank, stream) or self._plan.redirect.has(rank, stream)
        ]
        try:
            for rank, stream in wanted:
                self._fds[rank, stream] = _opened(self.folder, restarts, rank, NAMES[stream])
        except OSError as error:
            return f"a log in {self.folder} cannot be made: {error.strerror}"
        return ""

    def shown(self, rank: int, stream: int) -> bool:
        """Whether this stream belongs on the screen now."""
        plan = self._plan
        if plan.redirect.has(rank, stream) and (rank, stream) in self._fds:
            return False
        local = self._local_rank.get(rank, rank)
        kept = not plan.local_filter or any(
            first <= local and (last is None or local <= last) for first, last in plan.local_filter
        )
        return kept and plan.show.has(rank, stream)

    def write(self, rank: int, stream: int, chunk: bytes) -> str:
        """Append to a file, if there is one; returns in words why that is over, else ""."""
        fd = self._fds.get((rank, stream))
        if fd is None:
            return ""
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as error:
            os.close(self._fds.pop((rank, stream)))
            shown = "; its output goes to the screen" if self.shown(rank, stream) else ""
            return f"{NAMES[stream]} of rank {rank} ends here: {error.strerror}{shown}"
        return ""

    def keep_collectives(self, run_dir: Path, restarts: int) -> str:
        """Write what all ranks called last in an attempt; returns in words what failed, else "".

        Also of ranks that were killed: their pages of shared memory outlive them.
        """
        from disttorch.comm import status  # noqa: PLC0415 - only when a job has failed

        if self.folder is None:
            return ""
        now_s = time.monotonic()
        try:
            for rank, calls in status.read_job(str(run_dir), restarts, self._local_rank).items():
                if calls:
                    text = f"rank {rank}\n{status.dump_text(calls, now_s)}"
                    fd = _opened(self.folder, restarts, rank, "collectives.txt")
                    with open(fd, "w", errors="backslashreplace") as file:
                        file.write(text)
        except OSError as error:
            return f"collectives.txt in {self.folder} cannot be written: {error.strerror}"
        return ""

    def close(self) -> None:
        """Close all files."""
        while self._fds:
            os.close(self._fds.popitem()[1])


def _opened(folder: Path, restarts: int, rank: int, name: str) -> int:
    path = folder / f"attempt_{restarts}" / str(rank) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def make_folder(plan: LogPlan, job: str) -> Path | None:
    """The job's own folder, made now; None if it keeps no log. OSError says what is wrong.

    Without --log-dir it lies below the directory for temporary files.
    """
    if not plan.wanted:
        return None
    base = plan.folder or _temporary_folder()
    path = Path(base) / job
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        text = f"--log-dir {base}: {error.strerror}; name a folder that can be written"
        raise OSError(error.errno, text) from None
    return path


def _temporary_folder() -> str:
    import tempfile  # noqa: PLC0415 - slow to import, and few jobs log without --log-dir

    return tempfile.mkdtemp(prefix="disttorch-logs-")
