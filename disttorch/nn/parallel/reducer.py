"""Averages gradients across ranks while backward is still running.

Each parameter's gradient is a view of a bucket, and buckets lie in the process group's shared
memory: ranks reduce them in place, so nothing is copied to or from a transport. Buckets are
reduced in one fixed order on all ranks, each as soon as it and its predecessors are full.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from disttorch.autograd.engine import queue_callback
from disttorch.autograd.node import Node, edge_of
from disttorch.comm.reduce_op import ReduceOp
from disttorch.nn.parallel.bucket import BucketPlan
from disttorch.tensor import Tensor

_FINISH_TEXT = (
    "backward ended without gradients for {n} of {total} parameters, so the ranks cannot be "
    "averaged: {names}. Either these parameters took no part in the loss - then wrap the model "
    "with DistributedDataParallel(..., find_unused_parameters=True) - or backward was not run from "
    "all outputs of forward. (rank {rank})"
)


class Bucket:
    """A plan with its memory and what is known of the current backward pass."""

    def __init__(self, plan: BucketPlan, memory: Any, parameters: Sequence[Tensor]) -> None:
        self.plan = plan
        self.array = memory
        self.views = [
            memory[s.offset : s.offset + s.numel].reshape(parameters[s.parameter]._array.shape)
            for s in plan.slots
        ]
        self.missing = len(plan.slots)
        self.work: Any = None


class Reducer:
    """Hooks into the parameters' gradients and keeps their averages equal on all ranks.

    `names[i]` is the full name of `parameters[i]`, for messages. `group` is the process group.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        names: Sequence[str],
        plans: Sequence[BucketPlan],
        group: Any,
        find_unused: bool = False,
    ) -> None:
        self.find_unused = find_unused
        self.parameters = parameters
        self.names = names
        self.group = group
        self.sync = True
        self.buckets = [Bucket(p, _allocate(group, p), parameters) for p in plans]
        self._place = {
            slot.parameter: (bucket, k)
            for bucket in self.buckets
            for k, slot in enumerate(bucket.plan.slots)
        }
        self._arrived: set[int] = set()
        self._unused: set[int] = set()
        self._next_bucket = 0
        self._in_backward = False
        for i, parameter in enumerate(parameters):
            parameter.register_post_accumulate_grad_hook(self._hook(i))  # type: ignore[attr-defined]

    def _hook(self, i: int) -> Callable[[Tensor], None]:
        def arrived(parameter: Tensor) -> None:
            self._take_in(i, parameter)

        return arrived

    def prepare(self, sync: bool, outputs: Any) -> None:
        """Get ready for the backward pass of the forward that just returned `outputs`."""
        self.sync = sync
        self._reset()
        self._unused = self._unreached(outputs) if self.find_unused and sync else set()

    def _reset(self) -> None:
        self._arrived.clear()
        self._next_bucket = 0
        self._in_backward = False
        for bucket in self.buckets:
            bucket.missing = len(bucket.plan.slots)
            bucket.work = None

    def _unreached(self, outputs: Any) -> set[int]:
        """Positions of the parameters that the outputs' graph does not reach."""
        roots = [edge_of(t) for t in tensors_in(outputs)]
        stack = [edge[0] for edge in roots if edge is not None]
        seen: set[Node] = set(stack)
        while stack:
            for edge in stack.pop().edges:
                if edge is not None and edge[0] not in seen:
                    seen.add(edge[0])
                    stack.append(edge[0])
        return {i for i, p in enumerate(self.parameters) if p._accumulator not in seen}

    def _take_in(self, i: int, parameter: Tensor) -> None:
        """Move a gradient that is complete into its bucket; start full buckets."""
        bucket, k = self._place[i]
        view, grad = bucket.views[k], parameter._grad
        assert grad is not None
        if grad._array is not view:
            view[...] = grad._array
            parameter._grad = Tensor._wrap(view)
        if not self.sync:
            return
        if not self._in_backward:
            self._in_backward = True
            queue_callback(self._finish)
            for unused in self._unused:
                self._count(unused)
        self._count(i)

    def _count(self, i: int) -> None:
        """Note that a gradient is in place; start the buckets that are full and next in order."""
        if i in self._arrived:
            raise RuntimeError(
                f"parameter {self.names[i]!r} received a gradient twice in one backward pass; it "
                "is used by several backward calls of one forward, or by reentrant checkpointing "
                f"(rank {self.group.rank})"
            )
        self._arrived.add(i)
        bucket, k = self._place[i]
        if i in self._unused and self.parameters[i]._grad is None:
            bucket.views[k][...] = 0
        bucket.missing -= 1
        while self._next_bucket < len(self.buckets):
            ready = self.buckets[self._next_bucket]
            if ready.missing:
                break
            ready.work = self.group.all_reduce(ready.array, ReduceOp.AVG, async_op=True)
            self._next_bucket += 1

    def _finish(self) -> None:
        """Wait for the averages; runs when backward is complete."""
        missing = [n for i, n in enumerate(self.names) if i not in self._arrived]
        if missing:
            shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
            self._reset()
            raise RuntimeError(
                _FINISH_TEXT.format(
                    n=len(missing), total=len(self.names), names=shown, rank=self.group.rank
                )
            )
        for bucket in self.buckets:
            bucket.work.wait()
        if self.find_unused:
            self._show_averages_of_unused()
        self._reset()

    def _show_averages_of_unused(self) -> None:
        """Give parameters unused here the average over the ranks that used them, if any did."""
        used = np.ones(len(self.parameters), np.uint8)
        used[list(self._unused)] = 0
        self.group.all_reduce(used, ReduceOp.MAX)
        for i in self._unused:
            if used[i] and self.parameters[i]._grad is None:
                bucket, k = self._place[i]
                self.parameters[i]._grad = Tensor._wrap(bucket.views[k])


def _allocate(group: Any, plan: BucketPlan) -> Any:
    """Memory for a bucket that all ranks reduce in place."""
    memory = group.allocate(plan.numel * plan.np_dtype.itemsize)
    array = memory.view(plan.np_dtype)[: plan.numel]
    array[...] = 0  # padding too: it is averaged with the rest
    return array


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested containers and simple objects."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple, set)):
        value = vars(value).values() if hasattr(value, "__dict__") else ()
    return list(itertools.chain.from_iterable(tensors_in(v) for v in value))
