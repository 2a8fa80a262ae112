"""Averages gradients across ranks while backward is still running.

Each parameter's gradient is a view of a bucket, and buckets lie in the process group's shared
memory: ranks reduce them in place, so nothing is copied to or from a transport. Buckets are
reduced in one fixed order on all ranks, each as soon as it and its predecessors are full.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from disttorch.autograd.engine import queue_callback
from disttorch.autograd.node import Node, RemovableHandle, edge_of
from disttorch.comm.reduce_op import ReduceOp
from disttorch.nn.parallel.bucket import BucketPlan
from disttorch.tensor import Tensor

_MISSING = (
    "backward ended without gradients for {n} of {total} parameters, so the ranks cannot be "
    "averaged: {names}. Either these parameters took no part in the loss - then wrap the model "
    "with DistributedDataParallel(..., find_unused_parameters=True) - or backward was not run from "
    "all outputs of forward. (rank {rank})"
)
_UNFINISHED = (
    "Expected to have finished reduction in the prior iteration before starting a new one: the "
    "last backward pass of rank {rank} ended early, after {started} of {n} buckets of gradients "
    "had gone to the other ranks, which wait for the others. A step cannot be skipped by one rank "
    "alone: let the error that ended the pass end this rank, and restart from a checkpoint"
)
_TWICE = (
    "Expected to mark a variable ready only once: parameter {name!r} received a gradient after it "
    "had been averaged. It is used in several reentrant backward passes (checkpointing), or is not "
    "reached from the outputs of forward although find_unused_parameters=True (rank {rank})"
)
_CHANGED = (
    "parameter {name!r} was of shape {old_shape} and {old_dtype} when the model was wrapped with "
    "DistributedDataParallel, and its gradient is of shape {shape} and {dtype}; change models (by "
    ".to(), .half(), ...) before they are wrapped (rank {rank})"
)
_THAWED = (
    "parameter {name!r} did not require a gradient when the model was wrapped with "
    "DistributedDataParallel and does now, so it would be trained without being averaged; wrap the "
    "model again after changing requires_grad (rank {rank})"
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


class Reducer:
    """Hooks into the parameters' gradients and keeps their averages equal on all ranks.

    `named` are the parameters that require gradients, under their full names, `frozen` those that
    do not. `group` is the process group. The hooks go when the reducer does.
    """

    def __init__(
        self,
        named: Sequence[tuple[str, Tensor]],
        frozen: Sequence[tuple[str, Tensor]],
        plans: Sequence[BucketPlan],
        group: Any,
        find_unused: bool = False,
    ) -> None:
        self.find_unused = find_unused
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.frozen = frozen
        self.group = group
        self.sync = True
        self.buckets = [Bucket(p, _allocate(group, p), self.parameters) for p in plans]
        self._place = {
            slot.parameter: (number, bucket.views[k])
            for number, bucket in enumerate(self.buckets)
            for k, slot in enumerate(bucket.plan.slots)
        }
        self._unreached: set[int] = set()
        self._reset()
        me = weakref.ref(self)  # parameters own their hooks, and must not keep the buckets alive
        handles = [
            p.register_post_accumulate_grad_hook(_arrival(me, i))  # type: ignore[attr-defined]
            for i, p in enumerate(self.parameters)
        ]
        weakref.finalize(self, _remove, handles)

    def prepare(self, sync: bool, outputs: Any) -> None:
        """Get ready for the backward pass of the forward that just returned `outputs`.

        Raises RuntimeError if the last pass did not end, or a parameter has been unfrozen.
        """
        rank = self.group.rank
        if self._in_backward and self._n_started:
            n = len(self.buckets)
            raise RuntimeError(_UNFINISHED.format(rank=rank, started=self._n_started, n=n))
        for name, parameter in self.frozen:
            if parameter._requires_grad:
                raise RuntimeError(_THAWED.format(name=name, rank=rank))
        self.sync = sync
        self._reset()
        if sync and self.find_unused:
            reached = _nodes_below(tensors_in(outputs))
            self._unreached = {
                i for i, p in enumerate(self.parameters) if p._accumulator not in reached
            }

    def _reset(self) -> None:
        self._arrived: set[int] = set()
        self._absent: set[int] = set()  # counted as arrived, without a gradient
        self._works: list[Any] = []
        self._n_started = 0  # buckets
        self._in_backward = False
        for bucket in self.buckets:
            bucket.missing = len(bucket.plan.slots)

    def take_in(self, i: int, parameter: Tensor) -> None:
        """Move a gradient that is complete into its bucket; start full buckets."""
        self._move(i, parameter)
        if not self.sync:
            return
        if not self._in_backward:
            self._in_backward = True
            queue_callback(self._finish)
            frozen = {k for k, p in enumerate(self.parameters) if not p._requires_grad}
            self._count_absent((self._unreached | frozen) - {i})
        self._count(i)

    def _move(self, i: int, parameter: Tensor) -> None:
        """Make a parameter's gradient the view of its bucket, with the same values."""
        number, view = self._place[i]
        grad = parameter._grad
        assert grad is not None
        array = grad._array
        if array is view:
            return
        if number < self._n_started:
            raise RuntimeError(_TWICE.format(name=self.names[i], rank=self.group.rank))
        if array.shape != view.shape or array.dtype != view.dtype:
            raise RuntimeError(
                _CHANGED.format(
                    name=self.names[i],
                    old_shape=list(view.shape),
                    old_dtype=Tensor._wrap(view).dtype,
                    shape=list(array.shape),
                    dtype=grad.dtype,
                    rank=self.group.rank,
                )
            )
        view[...] = array
        parameter._grad = Tensor._wrap(view)

    def _count_absent(self, parameters: Iterable[int]) -> None:
        """Count parameters that get no gradient in this pass: they add what they have, or zero."""
        for i in sorted(parameters):
            self._absent.add(i)
            if self.parameters[i]._grad is None:
                self._place[i][1][...] = 0
            else:
                self._move(i, self.parameters[i])
            self._count(i)

    def _count(self, i: int) -> None:
        """Note that a gradient is in place; start the buckets that are full and next in order."""
        number = self._place[i][0]
        if i in self._arrived:
            if i in self._absent and number >= self._n_started:
                self._absent.discard(i)  # it was reached by another way than the outputs
                return
            raise RuntimeError(_TWICE.format(name=self.names[i], rank=self.group.rank))
        self._arrived.add(i)
        self.buckets[number].missing -= 1
        # The last one is left to `_finish`: with nothing to overlap, a thread only costs time.
        while self._n_started < len(self.buckets) - 1:
            ready = self.buckets[self._n_started]
            if ready.missing:
                break
            self._n_started += 1
            self._works.append(self.group.all_reduce(ready.array, ReduceOp.AVG, async_op=True))

    def _finish(self) -> None:
        """Reduce what is left and wait for the averages; runs when backward is complete."""
        missing = [i for i in range(len(self.names)) if i not in self._arrived]
        if missing and not self.find_unused:
            names = [self.names[i] for i in missing]
            raise RuntimeError(
                _MISSING.format(
                    n=len(names),
                    total=len(self.names),
                    names=", ".join(names[:8]) + (", ..." if len(names) > 8 else ""),
                    rank=self.group.rank,
                )
            )
        self._count_absent(missing)
        self._n_started = len(self.buckets)
        self.group.all_reduce(self.buckets[-1].array, ReduceOp.AVG)
        for work in self._works:
            work.wait()
        if self.find_unused:
            self._show_averages_of_unused()
        self._reset()

    def _show_averages_of_unused(self) -> None:
        """Give parameters unused here the average over the ranks that used them, if any did."""
        used = np.ones(len(self.parameters), np.uint8)
        used[list(self._absent)] = 0
        self.group.all_reduce(used, ReduceOp.MAX)
        for i in self._absent:
            parameter = self.parameters[i]
            if used[i] and parameter._requires_grad and parameter._grad is None:
                parameter._grad = Tensor._wrap(self._place[i][1])


def _arrival(reducer: weakref.ref[Reducer], i: int) -> Callable[[Tensor], None]:
    """The hook of parameter `i`."""

    def arrived(parameter: Tensor) -> None:
        alive = reducer()
        if alive is not None:
            alive.take_in(i, parameter)

    return arrived


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def _allocate(group: Any, plan: BucketPlan) -> Any:
    """Memory for a bucket that all ranks reduce in place; zeroed, padding is averaged too."""
    memory = group.allocate(plan.numel * plan.np_dtype.itemsize)
    return memory.view(plan.np_dtype)[: plan.numel]


def _nodes_below(tensors: Iterable[Tensor]) -> set[Node]:
    """All nodes of the graph that made some tensors."""
    roots = [edge_of(t) for t in tensors]
    stack = [edge[0] for edge in roots if edge is not None]
    seen: set[Node] = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return seen


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested containers and simple objects, which may refer to each other."""
    found, seen, stack = [], set(), [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, dict):
                stack.extend(item.values())
            elif isinstance(item, (list, tuple, set)):
                stack.extend(item)
            elif not isinstance(item, type):
                stack.extend(getattr(item, "__dict__", {}).values())
    return found
