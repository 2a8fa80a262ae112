"""What the user asked for, checked: a frozen record that everything else reads."""

import enum
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_GRACE_S = 30.0
DEFAULT_TIMEOUT_S = 300.0
MAX_RANKS = 1024
# What the launcher keeps open: two output pipes and a notice pipe a rank; itself, with room.
FDS_PER_RANK = 3
OWN_FDS = 64


class UsageError(Exception):
    """The command line cannot be carried out; the text says what is wrong and what would do."""


class ScriptKind(enum.Enum):
    """How the script is named: a path, a module (-m), or any program (--no-python)."""

    PATH = "path"
    MODULE = "module"
    PROGRAM = "program"


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

    def __post_init__(self) -> None:
        checks = [
            (1 <= self.n_ranks <= MAX_RANKS, "--nproc", f"in 1..{MAX_RANKS}", self.n_ranks),
            (self.max_restarts >= 0, "--max-restarts", ">= 0", self.max_restarts),
            (0 <= self.grace_s < float("inf"), "--grace", "a number of seconds >= 0", self.grace_s),
            (0 < self.timeout_s < float("inf"), "--timeout", "seconds > 0", self.timeout_s),
            (self.n_threads is None or self.n_threads >= 1, "--threads", ">= 1", self.n_threads),
        ]
        for fine, option, wanted, got in checks:
            if not fine:
                raise UsageError(f"{option} must be {wanted}, got {got}")


def n_ranks_from(text: str, n_cores: int) -> int:
    """The number of ranks that `--nproc` asks for: an integer, or `auto` for one a core."""
    if text in ("auto", "cpu"):
        return n_cores
    try:
        n_ranks = int(text)
    except ValueError:
        n_ranks = 0
    if n_ranks < 1:
        raise UsageError(f"--nproc must be >= 1 or auto, got {text}")
    return n_ranks


def check_script(config: LaunchConfig) -> None:
    """Raise UsageError if the script cannot be read; modules and programs are found by the rank."""
    if config.kind is not ScriptKind.PATH:
        return
    path = Path(config.script)
    if not path.exists():
        raise UsageError(_not_found(path))
    if path.is_dir() and not (path / "__main__.py").exists():
        raise UsageError(f"script {config.script} is a folder without a __main__.py")
    if not os.access(path, os.R_OK):
        raise UsageError(f"script {config.script} cannot be read; look at its permissions")


def check_open_files(n_ranks: int, limit: float) -> None:
    """Raise UsageError if the launcher would exceed its limit of open files."""
    wanted = OWN_FDS + FDS_PER_RANK * n_ranks
    if 0 <= limit < wanted:
        raise UsageError(
            f"{n_ranks} ranks need {wanted} open files, and the limit is {limit}; raise it first: "
            f"ulimit -n {wanted}"
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
