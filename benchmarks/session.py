"""A running body, of one or more ranks, that the driver can order to repeat.

Bodies of both libraries are kept alive side by side and asked in turn, so that a slow second of
the machine falls on both. A body that is not asked waits on a socket and uses no processor.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks.launchers import BodyError, command

START_TIMEOUT_S = 120.0
STEP_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0


class Session:
    """The connected ranks of one body."""

    def __init__(self, lines: list[IO[str]]) -> None:
        self._lines = lines

    def seconds(self, n: int) -> float:
        """Let every rank do `n` steps; seconds a step of the slowest rank."""
        for line in self._lines:
            print(json.dumps({"n": n}), file=line, flush=True)
        answers = [line.readline() for line in self._lines]
        if not all(answers):
            raise BodyError("a rank left while it was being timed")
        return max(json.loads(answer) for answer in answers)


@contextlib.contextmanager
def session(library: str, row: str, n_ranks: int) -> Iterator[Session]:
    """Start the body of `row`; raises BodyError with the output of a body that fails."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder, contextlib.ExitStack() as stack:
        address = f"{folder}/orders"
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(address)
        server.listen(n_ranks)
        server.settimeout(0.2)
        output = stack.enter_context(Path(folder, "output").open("w+b"))
        script = [str(Path(__file__).with_name("worker.py")), library, row, address]
        process = subprocess.Popen(
            command(library, n_ranks, script),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(_stop, process)
        try:
            with contextlib.ExitStack() as connections:
                yield Session(_accept(server, process, n_ranks, connections))
        except (BodyError, OSError) as error:
            output.flush()
            tail = Path(folder, "output").read_text(errors="replace").splitlines()[-15:]
            raise BodyError("\n".join([str(error), *tail])) from error


def _accept(
    server: socket.socket,
    process: subprocess.Popen[bytes],
    n_ranks: int,
    connections: contextlib.ExitStack,
) -> list[IO[str]]:
    """Wait for every rank to connect and report; ranks' files in rank order."""
    by_rank: dict[int, IO[str]] = {}
    for _ in range(int(START_TIMEOUT_S / server.gettimeout())):
        if len(by_rank) == n_ranks:
            return [by_rank[rank] for rank in sorted(by_rank)]
        if process.poll() is not None:
            raise BodyError(f"ended with status {process.returncode} before it was ready")
        with contextlib.suppress(TimeoutError):
            connection = connections.enter_context(server.accept()[0])
            connection.settimeout(STEP_TIMEOUT_S)
            lines = connections.enter_context(connection.makefile("rw"))
            by_rank[json.loads(lines.readline())["rank"]] = lines
    raise BodyError(f"{len(by_rank)} of {n_ranks} ranks were ready after {START_TIMEOUT_S:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Wait for the body, which has seen the driver hang up; then make sure of it."""
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)
