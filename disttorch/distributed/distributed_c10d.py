"""PyTorch's path of the functions of `distributed`, with private ones that programs import."""

from __future__ import annotations

from disttorch import distributed
from disttorch.comm.group import ProcessGroup
from disttorch.distributed.arguments import outside as _rank_not_in_group
from disttorch.distributed.world import resolve_group

__all__ = ["_get_default_group", "_rank_not_in_group"]
__all__ += [name for name in vars(distributed) if not name.startswith("_")]


def _get_default_group() -> ProcessGroup:
    """Return the default process group; ValueError before `init_process_group`."""
    return resolve_group(None)


def __getattr__(name: str) -> object:
    return getattr(distributed, name)
