"""Every option of disttorch-launch: its spellings, its default, what it does; torchrun's beside.

A spelling with dashes has one with underscores too. Each option is also read from the environment
variable PET_<NAME> of each of its long spellings, as torchrun does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from disttorch_launcher.config import DEFAULT_GRACE_S, DEFAULT_STALL_S, DEFAULT_TIMEOUT_S

SIGNAL_NAMES = "INT,TERM,HUP,QUIT,USR1,USR2"


@dataclass(frozen=True)
class Option:
    """One row. `metavar` is empty for a switch; options without help are accepted, not shown."""

    names: tuple[str, ...]
    default: str
    metavar: str = ""
    help: str = ""
    many: bool = False

    @property
    def key(self) -> str:
        """What the option is called in the program: its first long name, with underscores."""
        long = next(name for name in self.names if name.startswith("--"))
        return long[2:].replace("-", "_")

    def aliases(self) -> Iterator[str]:
        """The same spellings with underscores."""
        for name in self.names:
            if "-" in name[2:]:
                yield "--" + name[2:].replace("-", "_")

    def variables(self) -> Iterator[str]:
        """The environment variables it is read from."""
        for name in self.names:
            if name.startswith("--"):
                yield "PET_" + name[2:].replace("-", "_").upper()


def _o(names: str, default: str, metavar: str = "", text: str = "", many: bool = False) -> Option:
    return Option(tuple(names.split()), default, metavar, text, many)


OPTIONS: tuple[Option, ...] = (
    _o("--nproc --nproc-per-node", "1", "N",
       "ranks on this host: a number, auto (one a core) or gpu (one a device)"),
    _o("-m --module", "", "", "the script is a module's name"),
    _o("--no-python", "", "", "the script is any program, not a Python file"),
    _o("--max-restarts", "0", "N", "start all ranks again after a failure, up to N times; never "
       "after one that came before a rank had joined the process group"),
    _o("--grace --shutdown-timeout", f"{DEFAULT_GRACE_S:g}", "SECONDS",
       "time between SIGTERM and SIGKILL"),
    _o("--timeout", f"{DEFAULT_TIMEOUT_S:g}", "SECONDS", "time-out of a collective"),
    _o("--stall", f"{DEFAULT_STALL_S:g}", "SECONDS",
       "say who is missing when ranks have waited this long in a collective; 0 for never"),
    _o("--log-dir", "", "DIR", "write each rank's output, its error and a report there"),
    _o("-t --tee", "", "STREAMS", "streams to write to the log as well as to the screen: out, err "
       "or both, or by ranks: 0-15:out,16:both (default with --log-dir: both)"),
    _o("-r --redirect --redirects", "", "STREAMS",
       "streams to write to the log instead of to the screen"),
    _o("--show", "all", "RANKS", "ranks to show on the screen: 0-3,8, or 0,1:err,2:both"),
    _o("--local-ranks-filter", "", "RANKS", ""),
    _o("--no-collapse", "", "", "do not print equal lines of several ranks once, as [r0-7]"),
    _o("--env", "", "NAME=VALUE", "set a variable for all ranks; may be given often", many=True),
    _o("--threads", "", "N", "threads a rank (default: cores / ranks, or OMP_NUM_THREADS)"),
    _o("--bind --numa-binding", "none", "none|core|numa",
       "keep each rank to cores of its own, or to one NUMA node"),
    _o("--signals --signals-to-handle", SIGNAL_NAMES, "NAMES", "signals to pass on to the ranks"),
    _o("--nnodes", "1", "N", "hosts of the job; start the same command on each of them"),
    _o("--node-rank", "", "I", "which of the hosts this one is, 0..N-1; 0 serves the others"),
    _o("--rdzv-endpoint", "", "HOST:PORT", "where host 0 serves the job's store"),
    _o("--master-addr", "", "HOST", "the same as --rdzv-endpoint in two parts"),
    _o("--master-port", "", "PORT", "the same; 29500 unless given"),
    _o("--key-file", "", "FILE", "the job's secret key, equal on all hosts; made by host 0 where "
       "it is missing (or DISTTORCH_KEY holds the key itself)"),
    _o("--join-timeout", "300", "SECONDS", "how long the hosts wait for each other"),
    _o("--rdzv-id", "", "ID", "the job's name in TORCHELASTIC_RUN_ID and in the log's folder"),
    _o("--role", "default", "NAME", "ROLE_NAME of the ranks"),
    _o("--virtual-local-rank", "", "", "LOCAL_RANK is 0 for each rank, which sees one device"),
    _o("--print-config", "", "", "print each setting and where it comes from, and leave"),
    _o("--dry-run", "", "", "print what each rank would be started with, and leave"),
    # Accepted for torchrun's sake: they choose between things of which there is one here.
    _o("--standalone", ""),
    _o("--run-path", ""),
    _o("--rdzv-backend", "static", "NAME"),
    _o("--rdzv-conf", "", "CONF"),
    _o("--monitor-interval", "0.1", "SECONDS"),
    _o("--start-method", "fork", "NAME"),
    _o("--event-log-handler", "null", "NAME"),
    _o("--logs-specs", "", "NAME"),
    _o("--local-addr", "", "HOST"),
    _o("--duplicate-stdout-filters", "", "WORDS"),
    _o("--duplicate-stderr-filters", "", "WORDS"),
)  # fmt: skip
IGNORED = ("duplicate_stdout_filters", "duplicate_stderr_filters", "logs_specs")
BY_KEY = {option.key: option for option in OPTIONS}
