"""The environment of one rank: the launcher writes it, the rank reads it. No I/O here.

The variables are torchrun's, with torchrun's meaning, and four of our own:
DISTTORCH_STORE (address of the key-value store), DISTTORCH_RUN_DIR (0700 directory owned by the
launcher), DISTTORCH_TIMEOUT_S (time-out of a collective), DISTTORCH_NUM_THREADS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from disttorch.comm.errors import RankEnvError

DEFAULT_TIMEOUT_S = 300.0

# field of RankEnv -> environment variable, in the order they are documented
VARIABLES: dict[str, str] = {
    "rank": "RANK",
    "world_size": "WORLD_SIZE",
    "local_rank": "LOCAL_RANK",
    "local_world_size": "LOCAL_WORLD_SIZE",
    "group_rank": "GROUP_RANK",
    "group_world_size": "GROUP_WORLD_SIZE",
    "role_rank": "ROLE_RANK",
    "role_name": "ROLE_NAME",
    "role_world_size": "ROLE_WORLD_SIZE",
    "master_addr": "MASTER_ADDR",
    "master_port": "MASTER_PORT",
    "restart_count": "TORCHELASTIC_RESTART_COUNT",
    "max_restarts": "TORCHELASTIC_MAX_RESTARTS",
    "run_id": "TORCHELASTIC_RUN_ID",
    "error_file": "TORCHELASTIC_ERROR_FILE",
    "store": "DISTTORCH_STORE",
    "run_dir": "DISTTORCH_RUN_DIR",
    "timeout_s": "DISTTORCH_TIMEOUT_S",
    "num_threads": "DISTTORCH_NUM_THREADS",
}

_HOW_TO_LAUNCH = (
    "start the script with `disttorch-launch --nproc N script.py`, which sets it for each rank"
)


@dataclass(frozen=True)
class RankEnv:
    """Who this process is among the ranks of a job; times in seconds.

    Only `rank` and `world_size` are required. `store` and `run_dir` are empty, and `num_threads`
    is 0, where the launcher did not set them.
    """

    rank: int
    world_size: int
    local_rank: int = 0
    local_world_size: int = 1
    group_rank: int = 0
    group_world_size: int = 1
    role_rank: int = 0
    role_name: str = "default"
    role_world_size: int = 1
    master_addr: str = ""
    master_port: int = 0
    restart_count: int = 0
    max_restarts: int = 0
    run_id: str = ""
    error_file: str = ""
    store: str = ""
    run_dir: str = ""
    timeout_s: float = DEFAULT_TIMEOUT_S
    num_threads: int = 0

    def __post_init__(self) -> None:
        if self.world_size < 1:
            raise RankEnvError(f"WORLD_SIZE must be at least 1, got {self.world_size}")
        if not 0 <= self.rank < self.world_size:
            raise RankEnvError(f"RANK must be in 0..{self.world_size - 1}, got {self.rank}")
        if not self.timeout_s > 0:
            raise RankEnvError(f"DISTTORCH_TIMEOUT_S must be above 0, got {self.timeout_s}")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> RankEnv:
        """Read the variables; raises RankEnvError naming a missing or malformed one.

        LOCAL_RANK, LOCAL_WORLD_SIZE, ROLE_RANK and ROLE_WORLD_SIZE default to RANK and WORLD_SIZE,
        as for a script whose ranks were all started by hand on one host.
        """
        rank = _required(environ, "RANK")
        world_size = _required(environ, "WORLD_SIZE")
        values: dict[str, int | float | str] = {"rank": rank, "world_size": world_size}
        values |= {"local_rank": rank, "local_world_size": world_size}
        values |= {"role_rank": rank, "role_world_size": world_size}
        for field in fields(cls)[2:]:
            text = environ.get(VARIABLES[field.name], "")
            if text != "":
                kind = type(field.default)
                values[field.name] = _parse(VARIABLES[field.name], text, kind)
        return cls(**values)  # type: ignore[arg-type]  # each value was parsed to its field's type

    def to_environ(self) -> dict[str, str]:
        """The variables for a child process; empty strings and zero `num_threads` are left out."""
        optional = {"num_threads", "master_port"}
        out: dict[str, str] = {}
        for name, variable in VARIABLES.items():
            value = getattr(self, name)
            if value != "" and not (name in optional and value == 0):
                out[variable] = str(value)
        return out


def join_key(restart_count: int, rank: int) -> str:
    """Store key that a rank sets when it joins the process group; its value is its address."""
    return f"rank/{restart_count}/{rank}"


def exit_key(restart_count: int, rank: int) -> str:
    """Store key that the launcher sets when a rank has ended; its value says how, in words.

    Ranks that still wait for that rank to join then raise at once instead of at their deadline.
    """
    return f"launcher/{restart_count}/exited/{rank}"


def _required(environ: Mapping[str, str], variable: str) -> int:
    text = environ.get(variable, "")
    if text == "":
        raise RankEnvError(
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{variable} expected, but not set; {_HOW_TO_LAUNCH}"
        )
    value = _parse(variable, text, int)
    assert isinstance(value, int)
    return value


def _parse(variable: str, text: str, kind: type) -> int | float | str:
    if kind is str:
        return text
    try:
        return float(text) if kind is float else int(text)
    except ValueError:
        wanted = "a number" if kind is float else "an integer"
        raise RankEnvError(
            f"environment variable {variable} must be {wanted}, got {text!r}; {_HOW_TO_LAUNCH}"
        ) from None
