"""The ranks' output: two pipes a rank, read by the agent's loop, written out as whole lines."""

import os
from dataclasses import dataclass

from disttorch_launcher.console import Console
from disttorch_launcher.lines import LineAssembler
from disttorch_launcher.log_files import LogFiles
from disttorch_launcher.rank_sets import STDERR, STDOUT

READ_NBYTES = 1 << 16
TAIL_NBYTES = 4096
# Enough for anything a pipe can hold: what was written before a rank ended is in the pipe.
MAX_READS_AT_END = 64


@dataclass
class RankPipe:
    """One stream of one rank; `tail` holds the last bytes of it, for reports."""

    rank: int
    stream: int
    fd: int
    assembler: LineAssembler
    tail: bytes = b""
    ended: bool = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.fd


class RankLogs:
    """All pipes of a job's ranks."""

    def __init__(self, console: Console, files: LogFiles) -> None:
        self._console = console
        self._files = files
        self._pipes: dict[int, list[RankPipe]] = {}

    def open(self, rank: int) -> tuple[list[RankPipe], list[int]]:
        """New pipes for a rank: our reading ends, and the two descriptors to hand over."""
        pipes, theirs = [], []
        for stream in (STDOUT, STDERR):
            read_fd, write_fd = os.pipe()
            os.set_blocking(read_fd, False)
            assembler = LineAssembler(report_progress=not self._console.live)
            pipes.append(RankPipe(rank, stream, read_fd, assembler))
            theirs.append(write_fd)
        self._pipes[rank] = pipes
        return pipes, theirs

    def pipes(self) -> list[RankPipe]:
        """The pipes that are open."""
        return [pipe for pipes in self._pipes.values() for pipe in pipes]

    def read(self, pipe: RankPipe, now_s: float) -> bool:
        """Pass on what has arrived; False if nothing has, `pipe.ended` at end-of-file."""
        try:
            chunk = os.read(pipe.fd, READ_NBYTES)
        except BlockingIOError:
            return False
        if not chunk:
            pipe.ended = True
            self._pass_on(pipe, pipe.assembler.close(), None)
            return False
        gone = self._files.write(pipe.rank, pipe.stream, chunk)
        if gone:
            self._console.note(f"disttorch-launch: {gone}")
        assembled = pipe.assembler.feed(chunk, now_s)
        self._pass_on(pipe, assembled.lines, assembled.progress)
        return True

    def close_rank(self, rank: int, now_s: float) -> bytes:
        """Read a dead rank's pipes to their end and close them; returns the last of its stderr."""
        tail = b""
        for pipe in self._pipes.pop(rank, []):
            for _ in range(MAX_READS_AT_END):
                if not self.read(pipe, now_s):
                    break
            self._pass_on(pipe, pipe.assembler.close(), None)
            os.close(pipe.fd)
            if pipe.stream == STDERR:
                tail = pipe.tail
        return tail

    def _pass_on(self, pipe: RankPipe, lines: bytes, progress: bytes | None) -> None:
        owner = (pipe.rank, pipe.stream)
        if lines:
            pipe.tail = (pipe.tail + lines[-TAIL_NBYTES:])[-TAIL_NBYTES:]
        if not self._files.shown(*owner):
            return
        if progress is None:
            self._console.progress_ended(owner)
        if lines:
            self._console.lines(owner, lines)
        if progress is not None:
            self._console.progress(owner, progress)
