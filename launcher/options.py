"""The command line of disttorch-launch: argparse in, LaunchConfig out."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from disttorch_launcher.config import (
    DEFAULT_GRACE_S,
    DEFAULT_TIMEOUT_S,
    LaunchConfig,
    ScriptKind,
    UsageError,
    n_ranks_from,
)

EPILOG = """\
exit status: that of the rank that failed first; 128 + N if signal N killed it or stopped the job;
2 for a wrong command line. torchrun's spellings (--nproc-per-node, --nproc_per_node, --standalone,
--nnodes 1, --max_restarts) are accepted.
"""


def parse(argv: Sequence[str], n_cores: int) -> LaunchConfig:
    """The job that `argv` (without the program's name) asks for.

    Raises UsageError for what cannot work; leaves by SystemExit after --help and --version.
    """
    parser = build_parser()
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        raise UsageError(_unknown_option(parser, unknown[0]))
    if not options.script:
        raise UsageError("no script given: disttorch-launch --nproc N script.py [arguments]")
    if options.nnodes not in ("1", "1:1"):
        raise UsageError(f"--nnodes must be 1, got {options.nnodes}: ranks run on one host")
    if options.module and options.no_python:
        raise UsageError("-m and --no-python exclude each other: a module needs Python")
    kind = ScriptKind.MODULE if options.module else ScriptKind.PATH
    return LaunchConfig(
        script=options.script,
        args=_script_args(argv, options.args),
        kind=ScriptKind.PROGRAM if options.no_python else kind,
        n_ranks=n_ranks_from(options.nproc, n_cores),
        max_restarts=options.max_restarts,
        grace_s=options.grace,
        timeout_s=options.timeout,
        n_threads=options.threads,
    )


def _script_args(argv: Sequence[str], parsed: Sequence[str]) -> tuple[str, ...]:
    """All that follows the script: argparse takes a `--` right after it for its own."""
    before = argv[len(argv) - len(parsed) - 1]
    return ("--", *parsed) if before == "--" else tuple(parsed)


class _Parser(argparse.ArgumentParser):
    """Errors as exceptions: one place prints them."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"disttorch {installed_version()}")
        parser.exit()


def installed_version() -> str:
    """The version of the installed disttorch."""
    from importlib import metadata  # noqa: PLC0415 - 10 ms that only --version spends

    try:
        return metadata.version("disttorch")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def build_parser() -> argparse.ArgumentParser:
    """The parser, with torchrun's spellings beside ours."""
    parser = _Parser(
        prog="disttorch-launch",
        description="Run a script as N processes (ranks) of one training job.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--nproc", "--nproc-per-node", "--nproc_per_node", default="1", metavar="N",
        help="number of ranks, or auto for one a core (default: 1)")  # fmt: skip
    add("-m", "--module", action="store_true", help="the script is a module's name")
    add("--no-python", "--no_python", action="store_true",
        help="the script is any program, not a Python file")  # fmt: skip
    add("--max-restarts", "--max_restarts", type=int, default=0, metavar="N",
        help="start all ranks again after a failure, up to N times; never after one that came "
        "before a rank had joined the process group (default: 0)")  # fmt: skip
    add("--grace", "--shutdown-timeout", "--shutdown_timeout", type=float,
        default=DEFAULT_GRACE_S, metavar="SECONDS",
        help="time between SIGTERM and SIGKILL (default: %(default)g)")  # fmt: skip
    add("--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS",
        help="time-out of a collective (default: %(default)g)")  # fmt: skip
    add("--threads", type=int, default=None, metavar="N",
        help="threads a rank (default: cores / ranks, or OMP_NUM_THREADS)")  # fmt: skip
    add("--standalone", action="store_true", help=argparse.SUPPRESS)  # always so on one host
    add("--nnodes", default="1", help=argparse.SUPPRESS)
    add("--version", action=_Version, nargs=0, help="print the version and leave")
    add("script", nargs="?", help="what every rank runs")
    add("args", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def _unknown_option(parser: argparse.ArgumentParser, unknown: str) -> str:
    import difflib  # noqa: PLC0415 - only when something is already wrong

    name = unknown.split("=", 1)[0]
    known = [option for action in parser._actions for option in action.option_strings]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; see disttorch-launch --help"
    return f"unknown option {name}{hint}"
