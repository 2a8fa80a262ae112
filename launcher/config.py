"""What the user asked for, checked: a frozen record that everything else reads."""

import enum
import os
from dataclasses import dataclass, field
from pathlib import Path

from disttorch_launcher.rank_sets import EVERYTHING, NOTHING, StreamSet
from disttorch_launcher.signals import FORWARDED_SIGNALS

DEFAULT_GRACE_S = 30.0
DEFAULT_TIMEOUT_S = 300.0
DEFAULT_STALL_S = 10.0
MAX_RANKS = 1024
# What the launcher keeps open: two output pipes and a notice pipe a rank; itself, with room.
FDS_PER_RANK = 3
FDS_OF_LOGS = 2
OWN_FDS = 64


class UsageError(ValueError):
    """The command line cannot be carried out; the text says what is wrong and what would do."""


class ScriptKind(enum.Enum):
    """How the script is named: a path, a module (-m), or any program (--no-python)."""

    PATH = "path"
    MODULE = "module"
    PROGRAM = "program"


class Bind(enum.Enum):
    """What each rank is kept to: nothing, cores of its own, or the cores of one NUMA node."""

    NONE = "none"
    CORE = "core"
    NUMA = "numa"


@dataclass(frozen=True)
class LogPlan:
    """Where the ranks' output goes; `folder` is empty where no log was asked for.

    `tee` goes to the log as well as to the screen, `redirect` to the log alone. Of what would be
    on the screen, `show` and (by local ranks, unless empty) `local_filter` stay there.
    """

    folder: str = ""
    tee: StreamSet = NOTHING
    redirect: StreamSet = NOTHING
    show: StreamSet = EVERYTHING
    local_filter: tuple[tuple[int, int | None], ...] = ()
    collapse: bool = True

    @property
    def wanted(self) -> bool:
        """Whether anything is written to files."""
        return bool(self.folder or self.tee.pairs or self.redirect.pairs)


@dataclass(frozen=True)
class Hosts:
    """The hosts of a job: this is number `node` of `n_nodes`; number 0 serves at address:port."""

    n_nodes: int = 1
    node: int = 0
    address: str = ""
    port: int = 0
    key_file: str = ""
    join_s: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.node < self.n_nodes:
            raise UsageError(f"--node-rank must be in 0..{self.n_nodes - 1}, got {self.node}")
        if not 0 < self.join_s < float("inf"):
            raise UsageError(f"--join-timeout must be seconds > 0, got {self.join_s:g}")


@dataclass(frozen=True)
class LaunchConfig:
    """One job. Durations in seconds; `n_threads` per rank, None to share the cores out.

    Raises UsageError for values that cannot work.
    """

    script: str
    args: tuple[str, ...] = ()
    kind: ScriptKind = ScriptKind.PATH
    n_ranks: int = 1
    max_restarts: int = 0
    grace_s: float = DEFAULT_GRACE_S
    timeout_s: float = DEFAULT_TIMEOUT_S
    n_threads: int | None = None
    stall_s: float = DEFAULT_STALL_S
    logs: LogPlan = field(default_factory=LogPlan)
    env: tuple[tuple[str, str], ...] = ()
    bind: Bind = Bind.NONE
    signals: tuple[int, ...] = FORWARDED_SIGNALS
    hosts: Hosts = field(default_factory=Hosts)
    role: str = "default"
    run_id: str = ""
    virtual_local_rank: bool = False

    def __post_init__(self) -> None:
        checks = [
            (1 <= self.n_ranks <= MAX_RANKS, "--nproc", f"in 1..{MAX_RANKS}", self.n_ranks),
            (self.max_restarts >= 0, "--max-restarts", ">= 0", self.max_restarts),
            (0 <= self.grace_s < float("inf"), "--grace", "a number of seconds >= 0", self.grace_s),
            (0 < self.timeout_s < float("inf"), "--timeout", "seconds > 0", self.timeout_s),
            (0 <= self.stall_s < float("inf"), "--stall", "seconds >= 0", self.stall_s),
            (self.n_threads is None or self.n_threads >= 1, "--threads", ">= 1", self.n_threads),
        ]
        for fine, option, wanted, got in checks:
            if not fine:
                raise UsageError(f"{option} must be {wanted}, got {got}")


def check_script(config: LaunchConfig) -> None:
    """Raise UsageError if the script cannot be read; modules and programs are found by the rank."""
    if config.kind is not ScriptKind.PATH:
        return
    if not config.script:
        raise UsageError("no script given: disttorch-launch --nproc N script.py [arguments]")
    path = Path(config.script)
    if not path.exists():
        raise UsageError(_not_found(path))
    if path.is_dir() and not (path / "__main__.py").exists():
        raise UsageError(f"script {config.script} is a folder without a __main__.py")
    if not os.access(path, os.R_OK):
        raise UsageError(f"script {config.script} cannot be read; look at its permissions")


def check_system(platform: str) -> None:
    """Raise UsageError unless `sys.platform` is one that jobs run on."""
    if platform != "linux":
        raise UsageError(
            f"jobs need Linux, where ranks see each other's memory, and this is {platform}; run "
            f"the script with python, as one process, or in a Linux container"
        )


def check_open_files(config: LaunchConfig, limit: float) -> None:
    """Raise UsageError if the launcher would exceed its limit of open files."""
    each = FDS_PER_RANK + (FDS_OF_LOGS if config.logs.wanted else 0)
    wanted = OWN_FDS + each * config.n_ranks
    if 0 <= limit < wanted:
        raise UsageError(
            f"{config.n_ranks} ranks need {wanted} open files, and the limit is {limit}; raise it "
            f"first: ulimit -n {wanted}"
        )


def _not_found(path: Path) -> str:
    text = f"script not found: {path} (working directory: {os.getcwd()})"
    nearest = _nearest_script(path)
    if nearest:
        text += f"; did you mean {nearest}?"
    elif path.suffix == "" and len(path.parts) == 1:
        text += f"; for a module, use -m {path}"
    return text


def _nearest_script(path: Path) -> str:
    import difflib  # noqa: PLC0415 - only when something is already wrong

    if not path.parent.is_dir():
        return ""
    scripts = [entry.name for entry in path.parent.glob("*.py")]
    found = difflib.get_close_matches(path.name, scripts, n=1, cutoff=0.7)
    return str(path.parent / found[0]) if found else ""
