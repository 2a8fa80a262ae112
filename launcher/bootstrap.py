"""Inside a rank: become the process that `python script.py` would have been.

`run` returns or raises like the script itself, up through the launcher's `main`, so that the
interpreter finalises as it always does: threads joined, atexit run, open files flushed.
"""

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
from pathlib import Path
from types import TracebackType

from disttorch_launcher.config import LaunchConfig, ScriptKind
from disttorch_launcher.error_file import user_traceback, write_error
from disttorch_launcher.zygote import RankStart

EXIT_NOT_EXECUTABLE = 126  # as a shell reports it
EXIT_NOT_FOUND = 127


def run(start: RankStart, config: LaunchConfig) -> int:
    """Run the user's program as this rank; returns 0, or raises what the program raised."""
    os.environ.update(start.env)
    hook = _QuietHook()
    pid = os.getpid()
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, start.signal_mask)
        if config.kind is ScriptKind.PROGRAM:
            return _exec(config)
        sys.excepthook = hook
        _prepare_interpreter(start)
        _run_python(config)
    except BaseException as error:
        # A child that the script forked fails on its own account, and prints for itself.
        if not _is_success(error) and os.getpid() == pid:
            hook.told = _tell_launcher(start, error)
        raise
    return 0


def _tell_launcher(start: RankStart, error: BaseException) -> bool:
    """Leave the error for the launcher, which prints it last on the screen, and then once."""
    if not write_error(start.env["TORCHELASTIC_ERROR_FILE"], start.rank, error):
        return False
    with contextlib.suppress(OSError):  # a script may close what it did not open
        os.write(start.notice_fd, b"!")
    return True


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
    main.__dict__["__builtins__"] = __builtins__
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


def _exec(config: LaunchConfig) -> int:
    try:
        os.execvp(config.script, [config.script, *config.args])
    except FileNotFoundError:
        message, status = "program not found", EXIT_NOT_FOUND
    except OSError as error:
        message, status = f"cannot be executed: {error.strerror}", EXIT_NOT_EXECUTABLE
    os.write(2, f"{config.script}: {message}\n".encode())
    return status


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)
