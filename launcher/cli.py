"""`disttorch-launch`: from the command line to the launcher, the zygote, or a rank.

`main` returns in three kinds of process. Ranks leave through it as well, so nothing on its stack
may clean up after itself: what the launcher has to tidy is tidied inside `Agent.run`.
"""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from disttorch_launcher.channel import channel_pair
from disttorch_launcher.config import LaunchConfig, UsageError, check_script
from disttorch_launcher.cores import available_cores
from disttorch_launcher.options import parse
from disttorch_launcher.run_directory import RunDirectory, choose_base, sweep

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# Imported once, before the first fork. None of them may start a thread or open a socket.
PRELOAD = ("disttorch", "disttorch.distributed", "zmq")


def main(argv: Sequence[str] | None = None) -> int:
    """Launch a job; returns the exit status. In a rank, runs the script instead."""
    outer = dict(os.environ)
    try:
        config = _configure(sys.argv[1:] if argv is None else argv)
        _preload()
    except UsageError as error:
        print(f"disttorch-launch: error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return _launch(config, outer)


def _configure(argv: Sequence[str]) -> LaunchConfig:
    _open_standard_streams()
    config = parse(argv, int(max(1, available_cores())))
    check_script(config)
    return config


def _preload() -> None:
    """Import what the ranks will need, once for all of them."""
    gc.disable()  # nothing made here is garbage; the ranks turn it on again
    # Read when NumPy is imported: a BLAS thread pool would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in PRELOAD:
        with contextlib.suppress(ImportError):  # it fails again in the script, at the user's line
            importlib.import_module(name)
    # Shared by all ranks for good: a collection that visits them would copy every page.
    gc.freeze()


def _launch(config: LaunchConfig, outer: dict[str, str]) -> int:
    # All of these after the setting for OpenBLAS: they import NumPy.
    from disttorch_launcher import bootstrap, zygote  # noqa: PLC0415
    from disttorch_launcher.agent import Agent  # noqa: PLC0415

    try:
        base = choose_base(outer)
        sweep(base)
        run_directory = RunDirectory.create(base)
    except OSError as error:
        print(f"disttorch-launch: error: {error}", file=sys.stderr)
        return 1
    ours, theirs = channel_pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        start = zygote.serve(theirs, run_directory)
        return bootstrap.run(start, config)
    theirs.close()
    gc.enable()
    return Agent(config, ours, pid, run_directory, outer).run()


def _open_standard_streams() -> None:
    """If 0, 1 or 2 is closed, the next pipe or socket would take its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
