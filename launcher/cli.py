"""`disttorch-launch`: from the command line to the launcher, the zygote, or a rank.

`main` returns in two kinds of process, the launcher and the ranks, so nothing on its stack may
clean up after itself: what the launcher has to tidy is tidied inside `Agent.run`.

Signals: while there is nothing to tidy they end the process as they end any program. From the run
directory on they are blocked, and reach only who is ready for them: the launcher once its loop
listens, a rank just before its script, the zygote never.
"""

import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from disttorch_launcher import bootstrap, zygote
from disttorch_launcher.channel import channel_pair
from disttorch_launcher.config import (
    LaunchConfig,
    UsageError,
    check_open_files,
    check_script,
    check_system,
)
from disttorch_launcher.cores import available_cores
from disttorch_launcher.log_files import make_folder
from disttorch_launcher.options import Request, parse
from disttorch_launcher.run_directory import RunDirectory, choose_base, sweep
from disttorch_launcher.signals import FORWARDED_SIGNALS

if TYPE_CHECKING:
    from disttorch.comm.counters import CounterBoard
    from disttorch_launcher.rendezvous import Meeting

EXIT_FAILURE = 1
EXIT_USAGE = 2
# Imported once, before the first fork. None of them may start a thread or open a socket.
PRELOAD = (
    *("disttorch", "disttorch.distributed", "disttorch.comm.counters", "zmq"),
    "disttorch_launcher.agent",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Launch a job; returns the exit status. In a rank, runs the script instead."""
    outer = dict(os.environ)
    try:
        with _interrupts_end_the_process():
            request = _configure(sys.argv[1:] if argv is None else argv, outer)
            if request.print_config or request.dry_run:
                return _show(request, outer)
            check_system(sys.platform)
            _preload()
            signal_mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)
    except UsageError as error:
        return _refuse(error, EXIT_USAGE)
    except ImportError as error:
        return _refuse(f"{error}; `disttorch doctor` says what to install", EXIT_FAILURE)
    for note in request.notes:
        print(f"disttorch-launch: {note}", file=sys.stderr)
    return _launch(request.config, outer, signal_mask)


@contextlib.contextmanager
def _interrupts_end_the_process() -> Iterator[None]:
    """No KeyboardInterrupt: in the middle of somebody's import it says strange things."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse(why: object, status: int) -> int:
    print(f"disttorch-launch: error: {why}", file=sys.stderr)
    return status


def _configure(argv: Sequence[str], outer: Mapping[str, str]) -> Request:
    _open_standard_streams()
    request = parse(argv, int(max(1, available_cores())), outer)
    config = request.config
    if not request.print_config:
        check_script(config)
    check_open_files(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return request


def _show(request: Request, outer: Mapping[str, str]) -> int:
    from disttorch_launcher import preview  # noqa: PLC0415 - of no use to a job

    if request.print_config:
        print("\n".join(preview.config_lines(request)))
    if request.dry_run:
        print("\n".join(preview.dry_run_lines(request.config, outer)))
    return 0


def _preload() -> None:
    """Import what the ranks will need, once for all of them."""
    gc.disable()  # nothing made here is garbage; the ranks turn it on again
    # Read when NumPy is imported: a BLAS thread pool would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in PRELOAD:
        importlib.import_module(name)
    # Shared by all ranks for good: a collection that visits them would copy every page.
    gc.freeze()


def _launch(config: LaunchConfig, outer: dict[str, str], signal_mask: Iterable[int]) -> int:
    from disttorch.comm import counters  # noqa: PLC0415 - imports NumPy, after `_preload`
    from disttorch.comm.errors import DistStoreError  # noqa: PLC0415 - the same
    from disttorch_launcher.agent import Agent  # noqa: PLC0415 - the same

    try:
        base = choose_base(outer)
        sweep(base)
        run_directory = RunDirectory.create(base)
        folder = _log_folder(config, run_directory)
    except OSError as error:
        return _refuse(str(error).removeprefix(f"[Errno {error.errno}] "), EXIT_FAILURE)
    board = counters.CounterBoard(config.n_ranks)
    ours, theirs = channel_pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        start = zygote.serve(theirs, run_directory)
        count = partial(_count, board, int(start.env["LOCAL_RANK"]))
        return bootstrap.run(start, config, signal_mask, count)
    theirs.close()
    gc.enable()
    meeting = None
    try:
        if config.hosts.n_nodes > 1:
            meeting = _meet(config, outer, signal_mask)
    except UsageError as error:
        ours.close()
        os.waitpid(pid, 0)  # it removes the run directory
        return _refuse(error, EXIT_USAGE)
    try:
        agent = Agent(config, ours, pid, run_directory, outer, board, folder, meeting)
    except OSError as error:  # no room for a socket in the run directory
        if meeting is not None:
            meeting.close()
        ours.close()
        os.waitpid(pid, 0)  # it removes the run directory
        return _refuse(f"run directory {run_directory.path}: {error.strerror}", EXIT_FAILURE)
    try:
        return agent.run(signal_mask)
    except DistStoreError as error:  # the same for the store; the agent has tidied up
        return _refuse(error, EXIT_FAILURE)


def _meet(config: LaunchConfig, outer: Mapping[str, str], signal_mask: Iterable[int]) -> "Meeting":
    """Wait for the other hosts; a signal meanwhile ends this process, and the zygote tidies up."""
    from disttorch_launcher import rendezvous  # noqa: PLC0415 - as in `_launch`

    key = rendezvous.read_key(config.hosts, outer.get("DISTTORCH_KEY", ""))
    with _interrupts_end_the_process():
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
        try:
            return rendezvous.meet(config.hosts, config.n_ranks, key, config.max_restarts)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)


def _count(board: "CounterBoard", index: int) -> None:
    """In a rank: let the library count where the launcher sees it."""
    from disttorch.comm import counters  # noqa: PLC0415 - as in `_launch`

    counters.count_in(board.page(index))


def _log_folder(config: LaunchConfig, run_directory: RunDirectory) -> Path | None:
    try:
        return make_folder(config.logs, config.run_id or run_directory.path.name)
    except OSError:
        run_directory.remove()
        raise


def _open_standard_streams() -> None:
    """If 0, 1 or 2 is closed, the next pipe or socket would take its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
