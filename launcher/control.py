"""The socket in the run directory through which other commands look at a running job.

A request is one line of JSON, {"op": "stacks"} or {"op": "snapshot"}; the answer is one JSON
object, and then the connection ends. Only the user who owns the directory can reach it.
"""

import contextlib
import errno
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

NAME = "control.sock"
MAX_REQUEST_NBYTES = 1 << 12
EXHAUSTED = (errno.EMFILE, errno.ENFILE)
PAUSE_S = 0.05


class ControlServer:
    """The launcher's end: accepts without blocking; `fileno` for a selector."""

    def __init__(self, run_dir: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        try:
            self._socket.bind(str(run_dir / NAME))
        except OSError:
            self._socket.close()
            raise
        self._socket.listen(8)
        self._spare_fd: int | None = _spare()

    def fileno(self) -> int:
        """The descriptor that becomes readable when somebody calls."""
        return self._socket.fileno()

    def accept(self) -> tuple[socket.socket, dict[str, Any]] | None:
        """One caller and its request; None if there was none worth an answer."""
        try:
            caller, _ = self._socket.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._turn_away()
            return None
        # The request is sent with the connection; who dawdles is let down, not waited for.
        caller.settimeout(0.2)
        try:
            request = json.loads(caller.recv(MAX_REQUEST_NBYTES))
            if isinstance(request, dict):
                return caller, request
        except (OSError, ValueError, RecursionError):  # the last for brackets in brackets
            pass
        caller.close()
        return None

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        if self._spare_fd is not None:
            os.close(self._spare_fd)
            self._spare_fd = None

    def _turn_away(self) -> None:
        """Without descriptors left, a caller that nobody accepts would wake the loop for ever."""
        if self._spare_fd is None:
            time.sleep(PAUSE_S)
        else:
            os.close(self._spare_fd)
            with contextlib.suppress(OSError):
                self._socket.accept()[0].close()
        self._spare_fd = _spare()


def _spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def answer(caller: socket.socket, content: dict[str, Any]) -> None:
    """Send the answer and end the connection."""
    with contextlib.suppress(OSError):
        caller.settimeout(1.0)
        caller.sendall(json.dumps(content).encode())
    caller.close()


def ask(run_dir: Path, request: dict[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    """Ask the launcher of `run_dir`; OSError if it does not answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(str(run_dir / NAME))
        sock.sendall(json.dumps(request).encode() + b"\n")
        pieces = []
        while piece := sock.recv(1 << 16):
            pieces.append(piece)
    try:
        found: dict[str, Any] = json.loads(b"".join(pieces))
    except ValueError:
        raise OSError(f"the launcher of {run_dir} has ended") from None
    return found


def running_jobs(base: Path) -> list[Path]:
    """The run directories below `base` of this user's jobs, oldest first."""
    found = []
    for path in base.glob(f"disttorch-*/{NAME}"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == os.getuid():
                found.append((path.stat().st_mtime, path.parent))
    return [folder for _, folder in sorted(found)]
