"""Inside a rank: become the process that `python script.py` would have been.

`run` returns or raises like the script itself, up through the launcher's `main`, so that the
interpreter finalises as it always does: threads joined, atexit run, open files flushed.
"""

import builtins
import contextlib
import faulthandler
import importlib
import importlib.machinery
import io
import os
import runpy
import signal
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from disttorch_launcher.config import LaunchConfig, ScriptKind
from disttorch_launcher.error_file import user_traceback, write_error
from disttorch_launcher.stacks import answer_requests, stack_file
from disttorch_launcher.zygote import RankStart

EXIT_NOT_EXECUTABLE = 126  # as a shell reports it
EXIT_NOT_FOUND = 127


def run(
    start: RankStart,
    config: LaunchConfig,
    signal_mask: Iterable[int],
    begin: Callable[[], None] = lambda: None,
) -> int:
    """Run the user's program as this rank; returns 0, or raises what the program raised.

    `begin` is called just before a Python program starts. Signals that came before are delivered,
    under `signal_mask`, once all is ready for them.
    """
    os.environ.update(start.env)
    if start.cores:
        os.sched_setaffinity(0, start.cores)
    if config.kind is ScriptKind.PROGRAM:
        return _exec(config, signal_mask)
    hook = sys.excepthook = _QuietHook()
    notice = _Notice(start.notice_fd)
    pid = os.getpid()
    try:
        _prepare_interpreter(start)
        begin()
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
        _run_python(config)
    except BaseException as error:
        # A child that the script forked fails on its own account, and prints for itself.
        if not _is_success(error) and os.getpid() == pid:
            hook.told = write_error(start.env["TORCHELASTIC_ERROR_FILE"], start.rank, error)
            if hook.told:
                notice.give()
        raise
    return 0


class _Notice:
    """The pipe on which the launcher learns at once that there is an error file to read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._identity = os.fstat(fd)

    def give(self) -> None:
        """Write to the pipe, unless the script has closed it, and perhaps opened another file."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._fd), self._identity):
                os.write(self._fd, b"!")


class _QuietHook:
    """`sys.excepthook` from the rank's start, so that hooks of libraries and scripts chain to it.

    Prints, as Python does, only what the launcher could not be told.
    """

    def __init__(self) -> None:
        self.told = False

    def __call__(
        self, kind: type[BaseException], value: BaseException, _: TracebackType | None
    ) -> None:
        if not self.told:
            sys.__excepthook__(kind, value, user_traceback(value))


def _prepare_interpreter(start: RankStart) -> None:
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # as on a terminal: a line is seen when done
    faulthandler.enable()
    env = start.env
    run_dir, attempt = env["DISTTORCH_RUN_DIR"], int(env["TORCHELASTIC_RESTART_COUNT"])
    answer_requests(stack_file(run_dir, attempt, start.rank))
    threads = int(start.env["DISTTORCH_NUM_THREADS"])
    if threads > 1:  # the zygote's BLAS was held to one thread; its pool may start only now
        importlib.import_module("disttorch").set_num_threads(threads)
    if "numpy.random" in sys.modules:  # forked ranks would all draw the zygote's numbers
        sys.modules["numpy.random"].seed()


def _open_missing_streams() -> None:
    """A launcher started with closed stdout or stderr has no stream objects to inherit."""
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)


def _run_python(config: LaunchConfig) -> None:
    sys.argv = [config.script, *config.args]
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins  # the module, here alone; elsewhere its dict
    sys.modules["__main__"] = main
    if config.kind is ScriptKind.MODULE:
        _set_first_path(os.getcwd())
        runpy.run_module(config.script, run_name="__main__", alter_sys=True)
        return
    path = os.path.realpath(config.script)
    if os.path.isfile(path) and path.endswith(".py"):
        _set_first_path(os.path.dirname(path))
        _run_source(os.path.abspath(config.script), main)
    else:  # a folder or zip archive with __main__.py, a .pyc file, or source under another name
        _set_first_path(path if os.path.isdir(path) else os.path.dirname(path))
        runpy.run_path(config.script, run_name="__main__")


def _run_source(path: str, main: types.ModuleType) -> None:
    """Execute a source file in `main`, which stays `__main__` until the interpreter ends."""
    main.__dict__["__file__"] = path
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    source = Path(path).read_bytes()
    exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)


def _set_first_path(folder: str) -> None:
    if not sys.flags.safe_path:  # python -P: the first entry is not the script's folder
        sys.path[0] = folder


def _exec(config: LaunchConfig, signal_mask: Iterable[int]) -> int:
    # Python's handler would be in the way of a signal that has come already.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
    try:
        os.execvp(config.script, [config.script, *config.args])
    except FileNotFoundError:
        message, status = "program not found", EXIT_NOT_FOUND
    except OSError as error:
        message, status = f"cannot be executed: {error.strerror}", EXIT_NOT_EXECUTABLE
    os.write(2, f"{config.script}: {message}\n".encode())
    return status


def _is_success(error: BaseException) -> bool:
    """True for a sys.exit that makes the process's status 0; of integers, 8 bits are kept."""
    if not isinstance(error, SystemExit):
        return False
    code = error.code
    # What does not fit a C long counts as -1.
    return code is None or (isinstance(code, int) and code % 256 == 0 and abs(code) < 1 << 63)
