"""What PyTorch's methods of a group take beside tensors: one class a method, made from a table."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from typing import Any

from disttorch.comm.reduce_op import ReduceOp, Reduction

UNSET = timedelta(milliseconds=-1)
"""The time-out that stands for the group's own."""


class Options:
    """Attributes with defaults, and no others: a misspelt one is an AttributeError."""

    __slots__: tuple[str, ...] = ()
    _defaults: dict[str, Any]
    timeout: timedelta
    asyncOp: bool
    reduceOp: Reduction
    rootRank: int
    rootTensor: int
    device_ids: list[int]
    device: Any

    def __init__(self) -> None:
        for field, value in self._defaults.items():
            setattr(self, field, copy(value))


def _made(name: str, **fields: Any) -> type[Options]:
    """The class `name` with these attributes beside a time-out and `asyncOp`."""
    fields |= {"timeout": UNSET, "asyncOp": True}
    members = {"__slots__": tuple(fields), "_defaults": fields, "__module__": __name__}
    says = f"{', '.join(fields)}: what `torch.distributed.{name}` has."
    return type(name, (Options,), {**members, "__doc__": says})


_REDUCED, _ROOTED = {"reduceOp": ReduceOp.SUM}, {"rootRank": 0}

AllreduceOptions = _made("AllreduceOptions", **_REDUCED)
AllreduceCoalescedOptions = _made("AllreduceCoalescedOptions", **_REDUCED)
ReduceOptions = _made("ReduceOptions", **_REDUCED, **_ROOTED, rootTensor=0)
ReduceScatterOptions = _made("ReduceScatterOptions", **_REDUCED)
BroadcastOptions = _made("BroadcastOptions", **_ROOTED, rootTensor=0)
GatherOptions = _made("GatherOptions", **_ROOTED)
ScatterOptions = _made("ScatterOptions", **_ROOTED)
AllgatherOptions = _made("AllgatherOptions")
AllToAllOptions = _made("AllToAllOptions")
BarrierOptions = _made("BarrierOptions", device_ids=[], device=None)


def limit_of(opts: Options | None, timeout: timedelta | None = None) -> float | None:
    """Seconds after which a call fails, None for the group's own time-out."""
    if timeout is None and opts is not None and opts.timeout != UNSET:
        timeout = opts.timeout
    return None if timeout is None else timeout.total_seconds()
