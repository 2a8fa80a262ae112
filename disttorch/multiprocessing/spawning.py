"""Functions in processes of their own: `torch.multiprocessing.spawn` and its errors."""

from __future__ import annotations

import functools
import io
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections import ChainMap
from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# After SIGTERM, until SIGKILL.
_GRACE_S = 30.0


class ProcessException(Exception):
    """A process of `spawn` failed: the `error_index`-th, with the process number `error_pid`."""

    __slots__ = ["error_index", "error_pid"]

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.error_pid = error_pid

    @property
    def pid(self) -> int:
        """`error_pid`, by an older name."""
        return self.error_pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.error_index, self.error_pid)


class ProcessRaisedException(ProcessException):
    """A process failed by an exception, whose traceback is in the message."""


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
        arguments = (self.msg, self.error_index, self.error_pid, self.exit_code, self.signal_name)
        return type(self), arguments


class ProcessContext:
    """The processes of one `spawn`; `join` until it returns True."""

    def __init__(
        self,
        processes: Sequence[Any],
        error_files: Sequence[str],
        folder: TemporaryDirectory[str] | None = None,
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

        When one fails, the others have `grace_period` seconds (none by default) to end, are told
        to (SIGTERM), have as long again (30 s by default) and are killed. Then its failure is
        raised: ProcessRaisedException, ProcessExitedException.
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
                self._clean_up()
            return not self.sentinels
        self._end_others(grace_period)
        error = self._error(failed)
        self._clean_up()
        raise error

    def abandon(self) -> None:
        """End all processes at once."""
        self._end_others(0.0)
        self._clean_up()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _await(self, seconds: float) -> None:
        """Wait for all processes, together so long."""
        deadline_s = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, deadline_s - time.monotonic()))

    def _end_others(self, grace_s: float | None) -> None:
        if grace_s is not None:
            self._await(grace_s)
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        self._await(_GRACE_S if grace_s is None else grace_s)
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
    """The older name of `ProcessContext`."""

    def __init__(self, processes: Sequence[Any], error_files: Sequence[str]) -> None:
        warnings.warn("SpawnContext is renamed to ProcessContext since 1.4 release.", stacklevel=2)
        super().__init__(processes, error_files)


class _Call:
    """A function and its arguments on their way to a process: by value, but shared tensors."""

    def __init__(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.fn = fn
        self.args = args

    def __call__(self, index: int) -> None:
        self.fn(index, *self.args)

    def __reduce__(self) -> tuple[Any, ...]:
        # Now, and not before: places in shared memory are made for the process that is started.
        stream = io.BytesIO()
        _pickler()(stream).dump((self.fn, self.args))
        return _Packed, (stream.getvalue(),)


class _Packed:
    """A call that has arrived; what is wrong with it shows when it is made."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __call__(self, index: int) -> None:
        fn, args = pickle.loads(self._data)
        fn(index, *args)


@functools.cache
def _pickler() -> type[Any]:
    """cloudpickle's, which sends any function, and what else only multiprocessing can send.

    That is: queues and their like, and places instead of arrays in shared memory.
    """
    import cloudpickle  # noqa: PLC0415 - only who starts processes needs it

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, file: io.BytesIO) -> None:
            theirs = ForkingPickler(file).dispatch_table  # type: ignore[attr-defined]
            # Before the pickler is made: it looks only then.
            self.dispatch_table = ChainMap(cloudpickle.Pickler.dispatch_table, theirs)
            super().__init__(file)

    return Pickler


def start_processes(
    fn: Callable[..., object],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call ``fn(i, *args)`` in `nprocs` processes, with i in 0..nprocs-1.

    Any function will do, also one of a notebook. Tensors in shared memory (`share_memory_`) are
    shared, others copied. With `join`, wait for all and return None; otherwise return the context
    to `join`. Where a fork would not be safe (CUDA is initialised,
    other threads run), "fork" becomes "spawn", with a warning that says why.
    """
    context = multiprocessing.get_context(_safe_method(start_method))
    call = _Call(fn, args)
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="disttorch-spawn-")
    processes, files = [], []
    for index in range(nprocs):
        files.append(os.path.join(folder.name, str(index)))
        # The parent of a fork server's processes is the server, which ends with this process.
        parent_pid = None if start_method == "forkserver" else os.getpid()
        arguments = (call, index, files[-1], parent_pid)
        process = context.Process(  # type: ignore[attr-defined]
            target=_run, args=arguments, daemon=daemon
        )
        try:
            process.start()
        except BaseException:  # of an argument that cannot be sent, mostly
            ProcessContext(processes, files, folder).abandon()
            raise
        processes.append(process)
    started = ProcessContext(processes, files, folder)
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


def _run(call: _Call | _Packed, index: int, error_file: str, parent_pid: int | None) -> None:
    """In the new process: the call, and its failure as text in a file."""
    _die_with(parent_pid)
    try:
        call(index)
    except KeyboardInterrupt:
        pass  # SIGINT: the parent has it too, and will say so
    except Exception:  # the parent raises it, from the text
        Path(error_file).write_text(traceback.format_exc())
        sys.exit(1)


def _die_with(parent_pid: int | None) -> None:
    """Let the kernel end this process when its parent goes; nothing where it cannot."""
    import ctypes  # noqa: PLC0415 - only in processes that were started here

    try:
        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
    except (AttributeError, OSError):
        return
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(128 + signal.SIGTERM)
