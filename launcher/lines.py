"""Bytes of one pipe to whole lines: pure, bounded, and blind to the encoding."""

from dataclasses import dataclass

MAX_LINE_NBYTES = 1 << 16
# A progress bar redrawn for hours into a file still leaves a line this often.
PROGRESS_EVERY_S = 10.0


@dataclass(frozen=True)
class Assembled:
    """What one chunk completed: `lines` (each ends in a newline, or empty) and what is being
    redrawn by a progress bar at the moment, None if nothing is.
    """

    lines: bytes
    progress: bytes | None


class LineAssembler:
    """Joins chunks into whole lines; keeps at most MAX_LINE_NBYTES of an unfinished one.

    Text that a carriage return overwrites is dropped, as a terminal would drop it: of a progress
    bar's line only its last state is a line. With `report_progress`, the state of a bar also
    becomes a line every PROGRESS_EVERY_S seconds (for files; a terminal shows it live).
    """

    def __init__(self, report_progress: bool) -> None:
        self._report_progress = report_progress
        self._partial = b""
        self._progress_line_at_s: float | None = None

    def feed(self, chunk: bytes, now_s: float) -> Assembled:
        """Take the next bytes, read at `now_s` (monotonic seconds)."""
        whole, newline, rest = (self._partial + chunk).rpartition(b"\n")
        if b"\r" in whole:
            whole = b"\n".join(_visible(line) for line in whole.split(b"\n"))
        lines = whole + newline
        if newline:
            self._progress_line_at_s = None
        redrawn = b"\r" in rest
        if redrawn:
            # The return at the very end stays: a newline may follow, or the next state.
            rest = _visible(rest) + (b"\r" if rest.endswith(b"\r") else b"")
            self._partial = rest if rest.endswith(b"\r") else b"\r" + rest
            lines += self._progress_line(rest, now_s)
        else:
            self._partial = rest
        if len(self._partial) > MAX_LINE_NBYTES:
            lines += _visible(self._partial) + b"\n"
            self._partial = b""
        progress = _visible(self._partial) if redrawn and self._partial else None
        return Assembled(lines, progress)

    def close(self) -> bytes:
        """The unfinished line, ended; empty if there is none."""
        rest, self._partial = _visible(self._partial), b""
        return rest + b"\n" if rest.strip() else b""

    def _progress_line(self, rest: bytes, now_s: float) -> bytes:
        if self._progress_line_at_s is None:
            self._progress_line_at_s = now_s
        if not self._report_progress or now_s - self._progress_line_at_s < PROGRESS_EVERY_S:
            return b""
        self._progress_line_at_s = now_s
        return _visible(rest) + b"\n"


def prefixed(lines: bytes, prefix: bytes) -> bytes:
    """`lines`, each of which ends in a newline, with `prefix` before each."""
    if not lines:
        return b""
    return prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


def _visible(line: bytes) -> bytes:
    """What a terminal would show of a line with carriage returns: its last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]
