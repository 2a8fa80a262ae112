"""Functions in processes of their own: `torch.multiprocessing.spawn` and its errors."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# After SIGTERM, until SIGKILL.
_GRACE_S = 30.0


class ProcessException(Exception):
    """A process of `spawn` failed; `error_index` is its number, `pid` its process number."""

    __slots__ = ["error_index", "error_pid"]

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process failed by an exception, whose traceback is in the message."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """A process was killed by a signal or left with a status of its own."""

    __slots__ = ["exit_code"]

    def __init__(
        self,
        msg: str,
        error_index: int,
        error_pid: int,
        exit_code: int,
        signal_name: str | None = None,
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)
        return type(self), arguments


class ProcessContext:
    """The processes of one `spawn`; `join` until it returns True."""

    def __init__(
        self, processes: Sequence[Any], error_files: Sequence[str], folder: TemporaryDirectory[str]
    ) -> None:
        self.processes = list(processes)
        self.error_files = list(error_files)
        self.sentinels = {process.sentinel: i for i, process in enumerate(processes)}
        self._folder = folder

    def pids(self) -> list[int]:
        """Return the process numbers, in order."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait up to `timeout` seconds for a process to end; True once all have ended well.

        When one fails, the others are told to end (SIGTERM; SIGKILL after `grace_period` seconds,
        30 by default) and its failure is raised: ProcessRaisedException, ProcessExitedException.
        """
        if not self.sentinels:
            return True
        ended = multiprocessing.connection.wait(self.sentinels.keys(), timeout=timeout)
        failed = None
        for sentinel in ended:
            index = self.sentinels.pop(sentinel)  # type: ignore[call-overload]
            self.processes[index].join()
            if self.processes[index].exitcode != 0:
                failed = index
                break
        if failed is None:
            if not self.sentinels:
                self._folder.cleanup()
            return not self.sentinels
        self._end_others(_GRACE_S if grace_period is None else grace_period)
        error = self._error(failed)
        self._folder.cleanup()
        raise error

    def _end_others(self, grace_s: float) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        deadline_s = time.monotonic() + grace_s
        for process in self.processes:
            process.join(max(0.0, deadline_s - time.monotonic()))
        for process in self.processes:
            if process.is_alive():
                process.kill()
            process.join()
        self.sentinels.clear()

    def _error(self, index: int) -> ProcessException:
        process, path = self.processes[index], Path(self.error_files[index])
        if path.exists() and path.stat().st_size:
            text = path.read_text(errors="replace")
            message = f"\n\n-- Process {index} terminated with the following error:\n{text}"
            return ProcessRaisedException(message, index, process.pid)
        code = process.exitcode
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"<Unknown signal {-code}>"
            message = f"process {index} terminated with signal {name}"
            return ProcessExitedException(message, index, process.pid, code, name)
        message = f"process {index} terminated with exit code {code}"
        return ProcessExitedException(message, index, process.pid, code)


class SpawnContext(ProcessContext):
    """The processes of `spawn`."""


def start_processes(
    fn: Callable[..., object],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call ``fn(i, *args)`` in `nprocs` processes, with i in 0..nprocs-1.

    Any function will do, also one of a notebook. With `join`, wait for all and return None;
    otherwise return the context to `join`. Where a fork would not be safe (CUDA is initialised,
    other threads run), "fork" becomes "spawn", with a warning that says why.
    """
    import cloudpickle  # noqa: PLC0415 - only who starts processes needs it

    context = multiprocessing.get_context(_safe_method(start_method))
    call = cloudpickle.dumps((fn, args))
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="disttorch-spawn-")
    processes, files = [], []
    for index in range(nprocs):
        files.append(os.path.join(folder.name, str(index)))
        arguments = (call, index, files[-1], os.getpid())
        process = context.Process(  # type: ignore[attr-defined]
            target=_run, args=arguments, daemon=daemon
        )
        process.start()
        processes.append(process)
    started = SpawnContext(processes, files, folder)
    if not join:
        return started
    while not started.join():
        pass
    return None


def _safe_method(start_method: str) -> str:
    """What was asked for, unless that is a fork which the processes would not survive."""
    if start_method != "fork":
        return start_method
    from disttorch.utils.data.start_method import why_not_fork  # noqa: PLC0415 - only for a fork

    why = why_not_fork()
    if why:
        warnings.warn(
            f"start_method='spawn' is used instead of 'fork': {why}", RuntimeWarning, stacklevel=3
        )
    return "spawn" if why else "fork"


def spawn(
    fn: Callable[..., object],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call ``fn(i, *args)`` in `nprocs` fresh processes; see `start_processes`."""
    if start_method != "spawn":
        warnings.warn(
            f"This method only supports start_method=spawn (got: {start_method}).\n"
            "To use a different start_method use:\n\t\t"
            " torch.multiprocessing.start_processes(...)",
            FutureWarning,
            stacklevel=2,
        )
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")


def _run(call: bytes, index: int, error_file: str, parent_pid: int) -> None:
    """In the new process: the call, and its failure as text in a file."""
    _die_with(parent_pid)
    try:
        import cloudpickle  # noqa: PLC0415 - as above

        fn, args = cloudpickle.loads(call)
        fn(index, *args)
    except KeyboardInterrupt:
        pass  # SIGINT: the parent has it too, and will say so
    except Exception:  # the parent raises it, from the text
        Path(error_file).write_text(traceback.format_exc())
        sys.exit(1)


def _die_with(parent_pid: int) -> None:
    """Let the kernel end this process when its parent goes; nothing where it cannot."""
    import ctypes  # noqa: PLC0415 - only in processes that were started here

    try:
        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
    except (AttributeError, OSError):
        return
    if os.getppid() != parent_pid:
        os._exit(128 + signal.SIGTERM)
