"""PyTorch's path of the functions of `distributed`, with private ones that programs import."""

from __future__ import annotations

import warnings
from typing import Any, NewType

from disttorch import distributed
from disttorch.comm.reduce_op import ReduceOp
from disttorch.distributed.arguments import outside as _rank_not_in_group
from disttorch.distributed.subgroups import SHRINK_ABORT, SHRINK_DEFAULT
from disttorch.distributed.world import GroupMember, resolve_group
from disttorch.distributed.world import group_of_name as _resolve_process_group

GroupName = NewType("GroupName", str)

__all__ = ["SHRINK_ABORT", "SHRINK_DEFAULT", "GroupName", "_get_default_group"]
__all__ += ["_get_process_group_name", "_rank_not_in_group", "_resolve_process_group", "reduce_op"]
__all__ += [name for name in vars(distributed) if not name.startswith("_")]


class _OlderReduceOp:
    """`ReduceOp` under its first name: each look-up is a FutureWarning."""

    def __getattr__(self, name: str) -> ReduceOp:
        if name not in ReduceOp.__members__:
            raise AttributeError(f"'reduce_op' object has no attribute {name!r}")
        warnings.warn(
            "`torch.distributed.reduce_op` is deprecated, please use "
            "`torch.distributed.ReduceOp` instead",
            FutureWarning,
            stacklevel=2,
        )
        return ReduceOp[name]


reduce_op = _OlderReduceOp()


def _get_default_group() -> Any:
    """Return the default process group; ValueError before `init_process_group`."""
    arrays = resolve_group(None)
    return arrays if GroupMember.WORLD is None else GroupMember.WORLD


def _get_process_group_name(pg: Any) -> str:
    """Return the name by which `_resolve_process_group` finds a group."""
    return str(pg.group_name)


def __getattr__(name: str) -> object:
    return getattr(distributed, name)
