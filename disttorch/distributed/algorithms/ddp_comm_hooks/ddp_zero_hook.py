"""Steps of a sharded optimiser inside of backward, while later gradients are still being averaged.

For ``ZeroRedundancyOptimizer(..., overlap_with_ddp=True)``. A step of a bucket's parameters runs
when backward has been through all layers, so none of them is still needed, and the averages of the
bucket are there; the new parameters are exchanged after the last bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.distributed.grad_bucket import GradBucket
from disttorch.futures import Future
from disttorch.tensor import Tensor

Hook = Callable[[Any, GradBucket], Future[Tensor]]


class _Stepping(Future[Tensor]):
    """A bucket's averages; waiting for them, as is done bucket by bucket, takes the step."""

    def __init__(
        self, averages: Future[Tensor], memory: Tensor, bucket: GradBucket, zero: Any
    ) -> None:
        super().__init__()
        self._averages, self._memory, self._bucket, self._zero = averages, memory, bucket, zero

    def wait(self) -> Tensor:
        """The bucket, with its averages in it, after the step."""
        found: Any = self._averages.wait()
        if isinstance(found, (list, tuple)) and len(found) == 1:
            found = found[0]
        target = self._memory._array
        if found._array is not target:
            target[...] = found._array.reshape(target.shape)
        self._zero.step_some(self._bucket.parameters(), self._bucket.is_last())
        return self._memory


def hook_with_zero_step(hook: Hook, ddp: Any, zero: Any, shard_buckets: bool = False) -> Hook:
    """Return `hook` followed by the optimiser's step of each bucket; register it with `ddp`.

    `zero` has the parameters of `ddp` and no others. `shard_buckets`, how PyTorch gives parameters
    to ranks, changes nothing: they are given by size. Raises ValueError if `zero` was made without
    ``overlap_with_ddp=True`` or has other parameters.
    """
    if not getattr(zero, "overlaps", False):
        raise ValueError(
            "ZeroRedundancyOptimizer must be constructed with `overlap_with_ddp=True` to use this "
            "hook properly"
        )
    trained = {p for p in ddp.parameters() if p.requires_grad}
    if trained != {p for group in zero.param_groups for p in group["params"] if p.requires_grad}:
        raise ValueError("the optimizer and the model of this hook must have the same parameters")

    def averaged_and_stepped(state: Any, bucket: GradBucket) -> Future[Tensor]:
        memory = bucket.buffer()  # in which gradients lie; a hook may put another in its place
        return _Stepping(hook(state, bucket), memory, bucket, zero)

    return averaged_and_stepped


def hook_with_zero_step_interleaved(
    hook: Hook, ddp: Any, zero: Any, shard_buckets: bool = False
) -> Hook:
    """As `hook_with_zero_step`, which overlaps steps and communication already."""
    return hook_with_zero_step(hook, ddp, zero, shard_buckets)
