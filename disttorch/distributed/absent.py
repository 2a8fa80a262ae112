"""PyTorch's rooms and classes that are not here: asking for one says so, and what to use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import NoReturn

_PACKAGE = "disttorch.distributed."
_SHARDING = (
    "models are not sharded; DistributedDataParallel with ZeroRedundancyOptimizer keeps each "
    "optimiser state on one rank only"
)
_CALLS = "ranks do not call each other; use collectives, or send_object_list and recv_object_list"
_STARTING = "ranks are started by `disttorch-launch --nproc N script.py`"
_GROUPS = (
    "groups come from init_process_group and new_group and have ProcessGroup's methods; a backend "
    "of one's own is a class derived from ProcessGroup and Backend.register_backend"
)
INSTEAD = {
    **dict.fromkeys(("fsdp", "tensor", "_tensor", "_shard", "_composable"), _SHARDING),
    **dict.fromkeys(("rpc", "autograd", "remote_device"), _CALLS),
    "pipelining": "stages of a model talk by send and recv",
    **dict.fromkeys(("run", "launch", "launcher"), _STARTING),
    **dict.fromkeys(
        (f"elastic.{name}" for name in ("agent", "events", "metrics", "rendezvous", "timer")),
        _STARTING,
    ),
    **dict.fromkeys((f"ProcessGroup{name}" for name in ("Gloo", "MPI", "NCCL", "UCC")), _GROUPS),
    **dict.fromkeys(("Reducer", "Logger"), "DistributedDataParallel averages gradients itself"),
    "_symmetric_memory": "memory that ranks share is that of a group's allocate",
}


def text_of(name: str) -> str:
    """What is said of a name in `INSTEAD`."""
    return f"torch.distributed.{name} is not in disttorch: {INSTEAD[name]}"


class _Refusing(MetaPathFinder):
    """Asked last, for modules that nobody else has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raise ModuleNotFoundError for what is known to be absent."""
        name = fullname.removeprefix(_PACKAGE)
        if name != fullname and name in INSTEAD:
            _refuse(fullname, name)


def _refuse(fullname: str, name: str) -> NoReturn:
    raise ModuleNotFoundError(text_of(name), name=fullname)


def explain_imports() -> None:
    """Let imports of absent rooms fail with words."""
    if not any(isinstance(finder, _Refusing) for finder in sys.meta_path):
        sys.meta_path.append(_Refusing())
