"""`disttorch.launch`: a function as a job of the launcher, from a script or a notebook.

The function travels as a pickle to ranks that `disttorch-launch` starts, so that all there is to a
job is the same: one import, prefixed lines, the first cause, no process left behind. Nothing is
forked from this process, which may have threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from disttorch.multiprocessing.spawning import ProcessExitedException, ProcessRaisedException

_TAIL_LINES = 60


def launch(
    fn: Callable[..., Any],
    nproc: int | str = 1,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
) -> list[Any]:
    """Call ``fn(*args, **kwargs)`` on `nproc` ranks (or "auto"); return what each rank returned.

    The ranks have the launcher's environment (RANK, WORLD_SIZE...), so `fn` may call
    `init_process_group`. `options` go to `disttorch-launch`, as ``("--max-restarts", "2")``. What
    the ranks print comes out of this process's sys.stdout and sys.stderr, as it is printed.

    Raises ProcessRaisedException with the first failing rank's traceback if one raises,
    ProcessExitedException if one ends otherwise, ValueError for options that cannot work.
    """
    import cloudpickle  # noqa: PLC0415 - only who starts a job needs it

    with TemporaryDirectory(prefix="disttorch-call-") as folder:
        call = Path(folder, "call")
        call.write_bytes(cloudpickle.dumps((fn, tuple(args), dict(kwargs or {}))))
        body = "disttorch.multiprocessing.rank_body"
        command = [sys.executable, "-m", "disttorch_launcher", "--nproc", str(nproc), *options]
        environ = dict(os.environ, DISTTORCH_LAUNCH_PATH=os.pathsep.join(filter(None, sys.path)))
        status, tail = _run([*command, "-m", body, folder], environ)
        if status != 0:
            raise _failure(status, tail)
        found = sorted(Path(folder).glob("result-*"), key=lambda p: int(p.name.partition("-")[2]))
        return [cloudpickle.loads(path.read_bytes()) for path in found]


def _run(command: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """Run the launcher with its output passed on; returns its status and the end of its stderr."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environ, text=True, errors="backslashreplace",
    )  # fmt: skip
    tail: list[str] = []
    copiers = [
        threading.Thread(target=_copy, args=(process.stdout, sys.stdout, [])),
        threading.Thread(target=_copy, args=(process.stderr, sys.stderr, tail)),
    ]
    for copier in copiers:
        copier.start()
    try:
        process.wait()
    except BaseException:
        # Ctrl-C in a terminal reaches the launcher too; in a notebook only this process.
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        for copier in copiers:
            copier.join()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return process.returncode, "".join(tail[-_TAIL_LINES:])


def _copy(source: IO[str], target: Any, kept: list[str]) -> None:
    for line in source:
        kept.append(line)
        del kept[: -2 * _TAIL_LINES]
        target.write(line)
        target.flush()


def _failure(status: int, tail: str) -> Exception:
    if status == 2 and tail.startswith("disttorch-launch: error: "):
        return ValueError(tail.strip())
    head, _, cause = tail.rpartition("first cause: rank ")
    rank = int(cause.split(" ", 1)[0]) if head and cause.split(" ", 1)[0].isdigit() else -1
    if "Traceback (most recent call last)" in cause:
        text = cause.partition("\n")[2]
        message = f"\n\n-- Process {rank} terminated with the following error:\n{text}"
        return ProcessRaisedException(message, rank, 0)
    last = f"rank {cause.strip()}" if rank >= 0 else tail.strip()
    return ProcessExitedException(f"the job ended with exit code {status}: {last}", rank, 0, status)
