"""The command line of disttorch-launch: argparse in, LaunchConfig out.

A value comes from the command line, else from a PET_ variable, else from the table of defaults;
`Request.origins` says which, for --print-config.
"""

import argparse
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from disttorch_launcher.config import Bind, Hosts, LaunchConfig, LogPlan, ScriptKind, UsageError
from disttorch_launcher.cores import n_gpus
from disttorch_launcher.option_table import BY_KEY, IGNORED, OPTIONS, SIGNAL_NAMES, Option
from disttorch_launcher.rank_sets import NOTHING, parse_ranks, parse_shown, parse_streams

T = TypeVar("T")

EPILOG = """\
exit status: that of the rank that failed first; 128 + N if signal N killed it or stopped the job;
2 for a wrong command line. torchrun's spellings (--nproc-per-node, --nproc_per_node, --standalone,
--redirects...) and its environment variables (PET_NPROC_PER_NODE...) are accepted.
"""
DEFAULT_PORT = 29500
BINDINGS = {
    **{"none": Bind.NONE, "core": Bind.CORE, "numa": Bind.NUMA},
    # torchrun's
    **{"exclusive": Bind.CORE, "core-complex": Bind.CORE, "node": Bind.NUMA, "socket": Bind.NUMA},
}
MANDATORY_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Request:
    """What the command line asks for: a job, and perhaps only to be shown what it would be."""

    config: LaunchConfig
    values: Mapping[str, str]
    origins: Mapping[str, str]
    print_config: bool = False
    dry_run: bool = False
    notes: Sequence[str] = field(default_factory=tuple)


def parse(argv: Sequence[str], n_cores: int, environ: Mapping[str, str] | None = None) -> Request:
    """The request in `argv` (without the program's name) and the PET_ variables of `environ`.

    Raises UsageError for what cannot work; leaves by SystemExit after --help and --version.
    """
    parser = build_parser()
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        raise UsageError(_unknown_option(parser, unknown[0]))
    chosen = _Values(vars(given), environ or {})
    if not given.script and not chosen.on("print_config"):
        raise UsageError("no script given: disttorch-launch --nproc N script.py [arguments]")
    script_args = _script_args(argv, given.args) if given.script else ()
    return Request(
        config=_config(chosen, given.script or "", script_args, n_cores),
        values=chosen.values,
        origins=chosen.origins,
        print_config=chosen.on("print_config"),
        dry_run=chosen.on("dry_run"),
        notes=[
            f"{BY_KEY[key].names[0]} is ignored: disttorch-launch has nothing of the kind"
            for key in IGNORED
            if chosen.values[key]
        ],
    )


class _Values:
    """The text of every option, with its origin, and readers that refuse what makes no sense."""

    def __init__(self, given: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        for option in OPTIONS:
            self.values[option.key], self.origins[option.key] = _choose(option, given, environ)

    def __getitem__(self, key: str) -> str:
        return self.values[key]

    def on(self, key: str) -> bool:
        """Whether a switch is on."""
        return self.values[key].lower() not in ("", "0", "false", "no", "off")

    def read(self, key: str, kind: Callable[[str], T], wanted: str) -> T:
        """The value as `kind` makes it; UsageError names the option and what is wanted."""
        try:
            return kind(self.values[key])
        except ValueError as error:
            plain = isinstance(error, UsageError) or kind in (int, float)
            why = "" if plain else f": {error}"
            text = f"{_long_name(key)} must be {wanted}, got {self.values[key]!r}{why}"
            raise UsageError(text) from None

    def optional(self, key: str, kind: Callable[[str], T], wanted: str) -> T | None:
        """None where nothing was given."""
        return self.read(key, kind, wanted) if self.values[key] else None


def _choose(
    option: Option, given: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[str, str]:
    if option.key in given:
        return given[option.key], "command line"
    for variable in option.variables():
        if environ.get(variable):
            return environ[variable], f"environment variable {variable}"
    return option.default, "default"


def _config(chosen: _Values, script: str, args: tuple[str, ...], n_cores: int) -> LaunchConfig:
    if chosen.on("module") and chosen.on("no_python"):
        raise UsageError("-m and --no-python exclude each other: a module needs Python")
    kind = ScriptKind.MODULE if chosen.on("module") else ScriptKind.PATH
    return LaunchConfig(
        script=script,
        args=args,
        kind=ScriptKind.PROGRAM if chosen.on("no_python") else kind,
        n_ranks=n_ranks_from(chosen["nproc"], n_cores),
        max_restarts=chosen.read("max_restarts", int, "a number"),
        grace_s=chosen.read("grace", float, "a number of seconds"),
        timeout_s=chosen.read("timeout", float, "a number of seconds"),
        stall_s=chosen.read("stall", float, "a number of seconds"),
        n_threads=chosen.optional("threads", int, "a number"),
        logs=_log_plan(chosen),
        env=tuple(_assignment(line) for line in chosen["env"].split("\n") if line),
        bind=_binding(chosen["bind"]),
        signals=_signals(chosen["signals"]),
        hosts=_hosts(chosen),
        role=chosen["role"],
        run_id="" if chosen["rdzv_id"] == "none" else chosen["rdzv_id"],
        virtual_local_rank=chosen.on("virtual_local_rank"),
    )


def _log_plan(chosen: _Values) -> LogPlan:
    streams = "out, err, both or none, or by ranks as in 0-15:out"
    tee = chosen.optional("tee", parse_streams, streams)
    redirect = chosen.optional("redirect", parse_streams, streams)
    folder = chosen["log_dir"]
    if tee is None and redirect is None and folder:
        tee = parse_streams("both")
    return LogPlan(
        folder=folder,
        tee=tee or NOTHING,
        redirect=redirect or NOTHING,
        show=chosen.read("show", parse_shown, "ranks, as in 0-3,8 or 0:both,all:err"),
        local_filter=chosen.optional("local_ranks_filter", parse_ranks, "ranks, as in 0-3,8") or (),
        collapse=not chosen.on("no_collapse"),
    )


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--env must be NAME=VALUE, got {text!r}")
    return name, value


def _binding(text: str) -> Bind:
    if text not in BINDINGS:
        raise UsageError(f"--bind must be none, core or numa, got {text!r}")
    return BINDINGS[text]


def _signals(text: str) -> tuple[int, ...]:
    found: list[int] = list(MANDATORY_SIGNALS)
    for name in filter(None, re.split(r"[,\s]+", text.upper())):
        full = name if name.startswith("SIG") else f"SIG{name}"
        signum = getattr(signal, full, None)
        if not isinstance(signum, signal.Signals) or signum in (signal.SIGKILL, signal.SIGSTOP):
            raise UsageError(f"--signals must name signals, as in {SIGNAL_NAMES}, got {name!r}")
        if signum not in found:
            found.append(signum)
    return tuple(found)


def _hosts(chosen: _Values) -> Hosts:
    _check_backend(chosen["rdzv_backend"])
    low, colon, high = chosen["nnodes"].partition(":")
    if not low.isdecimal() or int(low) < 1 or (colon and high != low):
        raise UsageError(
            f"--nnodes must be one number >= 1, got {chosen['nnodes']}: "
            "the number of hosts does not change while a job runs"
        )
    if int(low) == 1 or chosen.on("standalone"):
        if int(low) > 1:
            raise UsageError("--standalone and --nnodes above 1 exclude each other")
        return Hosts()
    address, port = _endpoint(chosen)
    node = chosen.optional("node_rank", int, "a number")
    if node is None:
        raise UsageError(f"--node-rank must say which of the {low} hosts this one is: 0..{low}-1")
    join_s = chosen.read("join_timeout", float, "a number of seconds")
    return Hosts(int(low), node, address, port, chosen["key_file"], join_s)


def _check_backend(name: str) -> None:
    if name not in ("static", "c10d"):
        raise UsageError(
            f"--rdzv-backend must be static or c10d, got {name}: host 0 serves the store itself"
        )


def _endpoint(chosen: _Values) -> tuple[str, int]:
    address, port = chosen["rdzv_endpoint"], ""
    if address:
        head, colon, tail = address.rpartition(":")
        if colon and not address.endswith("]"):
            address, port = head, tail
    else:
        address = chosen["master_addr"]
        port = chosen["master_port"]
    if not address:
        raise UsageError("several hosts need --rdzv-endpoint HOST:PORT, the address of host 0")
    port = port or str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"the port of --rdzv-endpoint must be in 1..65535, got {port}")
    return address.strip("[]"), int(port)


def n_ranks_from(text: str, n_cores: int) -> int:
    """The number of ranks that `--nproc` asks for: an integer, `auto` (cores) or `gpu`."""
    if text in ("auto", "cpu"):
        return n_cores
    if text == "gpu":
        found = n_gpus()
        if not found:
            raise UsageError("--nproc gpu: no GPU is visible here; see `disttorch doctor`")
        return found
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--nproc must be >= 1, auto or gpu, got {text}")
    return int(text)


def _script_args(argv: Sequence[str], parsed: Sequence[str]) -> tuple[str, ...]:
    """All that follows the script: argparse takes a `--` right after it for its own."""
    before = argv[len(argv) - len(parsed) - 1]
    return ("--", *parsed) if before == "--" else tuple(parsed)


class _Parser(argparse.ArgumentParser):
    """Errors as exceptions: one place prints them."""

    def error(self, message: str) -> NoReturn:
        wrong = re.fullmatch(r"argument ([^ :]+): (.*)", message)
        if wrong:
            names = wrong[1].split("/")
            message = f"{names[0] if names[0].startswith('--') else names[-1]}: {wrong[2]}"
        raise UsageError(message)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"disttorch {installed_version()}")
        parser.exit()


class _Append(argparse.Action):
    """Values of an option that may be given often, a line each."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        _option: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest, "")
        setattr(namespace, self.dest, f"{before}{values}\n")


def installed_version() -> str:
    """The version of the installed disttorch."""
    from importlib import metadata  # noqa: PLC0415 - 10 ms that only --version spends

    try:
        return metadata.version("disttorch")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def build_parser() -> argparse.ArgumentParser:
    """The parser of all rows of the table; what is not given has no attribute."""
    parser = _Parser(
        prog="disttorch-launch",
        description="Run a script as N processes (ranks) of one training job.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in OPTIONS:
        _add(parser, option, option.names, _help_text(option))
        if list(option.aliases()):
            _add(parser, option, tuple(option.aliases()), argparse.SUPPRESS)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    parser.add_argument("script", nargs="?", help="what every rank runs")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def _add(
    parser: argparse.ArgumentParser, option: Option, names: tuple[str, ...], text: str
) -> None:
    if not option.metavar:
        parser.add_argument(
            *names, dest=option.key, action="store_const", const="yes",
            default=argparse.SUPPRESS, help=text,
        )  # fmt: skip
        return
    parser.add_argument(
        *names, dest=option.key, metavar=option.metavar, default=argparse.SUPPRESS, help=text,
        action=_Append if option.many else "store",
    )  # fmt: skip


def _help_text(option: Option) -> str:
    if not option.help:
        return argparse.SUPPRESS
    default = f" (default: {option.default})" if option.default else ""
    return (option.help + default).replace("%", "%%")


def _long_name(key: str) -> str:
    return next(name for name in BY_KEY[key].names if name.startswith("--"))


def _unknown_option(parser: argparse.ArgumentParser, unknown: str) -> str:
    import difflib  # noqa: PLC0415 - only when something is already wrong

    name = unknown.split("=", 1)[0]
    known = [option for action in parser._actions for option in action.option_strings]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; see disttorch-launch --help"
    return f"unknown option {name}{hint}"
