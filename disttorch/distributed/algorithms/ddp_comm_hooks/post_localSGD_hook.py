"""Gradients averaged over all ranks at first, later only over those of a host.

To be used with an averager (`distributed.algorithms.model_averaging`) or a
`PostLocalSGDOptimizer`, which bring the hosts' models together from then on.
"""

from __future__ import annotations

from typing import Any

from disttorch import distributed
from disttorch.distributed.algorithms.ddp_comm_hooks.debugging_hooks import noop_hook
from disttorch.distributed.algorithms.ddp_comm_hooks.default_hooks import averaged
from disttorch.distributed.grad_bucket import GradBucket
from disttorch.futures import Future
from disttorch.tensor import Tensor


class PostLocalSGDState:
    """When and among whom `post_localSGD_hook` averages gradients.

    Among `process_group` (None: all ranks) for `start_localSGD_iter` steps, then among `subgroup`
    (None: the ranks of this host), or without `post_local_gradient_allreduce` not at all.
    """

    def __init__(
        self,
        process_group: Any,
        subgroup: Any,
        start_localSGD_iter: int,
        post_local_gradient_allreduce: bool = True,
    ) -> None:
        self.process_group = process_group
        self.subgroup = subgroup
        self.start_localSGD_iter = start_localSGD_iter
        self.post_local_gradient_allreduce = post_local_gradient_allreduce
        self.iter = 0

    def maybe_increase_iter(self, bucket: GradBucket) -> None:
        """Count a step at its last bucket."""
        if bucket.is_last():
            self.iter += 1


def post_localSGD_hook(state: PostLocalSGDState, bucket: GradBucket) -> Future[Tensor]:
    """Average the bucket among the ranks whose turn it is."""
    if state.iter < state.start_localSGD_iter:
        state.maybe_increase_iter(bucket)
        return averaged(bucket.buffer(), state.process_group)
    if not state.post_local_gradient_allreduce:
        return noop_hook(None, bucket)
    if state.subgroup is None:
        state.subgroup = _of_this_host(distributed.resolve_group(state.process_group))
    return averaged(bucket.buffer(), state.subgroup)


def _of_this_host(group: Any) -> Any:
    """The ranks of this host as a group; all ranks of `group` come here together."""
    if len(group.hosts) == 1:
        return group
    return distributed.split_group(group, group.hosts)
