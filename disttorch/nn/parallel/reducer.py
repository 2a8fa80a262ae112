"""Averages gradients across ranks while backward is still running.

Each parameter's gradient is a view of a bucket, and buckets lie in the process group's shared
memory: formulas that can make a gradient there do, the others' results are copied once, and ranks
reduce the buckets in place. Buckets are reduced in one fixed order on all ranks, each as soon as it
and its predecessors are full.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

import numpy as np

from disttorch.autograd.engine import queue_callback
from disttorch.autograd.landing import Landing, land_in
from disttorch.autograd.node import RemovableHandle
from disttorch.comm import phases
from disttorch.comm.errors import GroupUnusableError, SharedMemoryError
from disttorch.comm.reduce_op import NamedOp, ReduceOp
from disttorch.distributed.grad_bucket import GradBucket
from disttorch.futures import Future
from disttorch.nn.parallel import complaints
from disttorch.nn.parallel.bucket import BucketPlan
from disttorch.nn.parallel.reached import nodes_below, tensors_in
from disttorch.tensor import Tensor

CommHook = Callable[[GradBucket], Future[Tensor]]


class Bucket:
    """A plan with its memory and what is known of the current backward pass."""

    def __init__(
        self, plan: BucketPlan, memory: Any, parameters: Sequence[Tensor], average: NamedOp
    ) -> None:
        self.plan = plan
        self.array = memory
        self.parameters = [parameters[s.parameter] for s in plan.slots]
        self.views = [
            memory[s.offset : s.offset + s.numel].reshape(p._array.shape)
            for s, p in zip(plan.slots, self.parameters, strict=True)
        ]
        ends = [s.offset + s.numel for s in plan.slots]
        starts = [*(s.offset for s in plan.slots[1:]), plan.numel]
        self._gaps = [memory[a:b] for a, b in zip(ends, starts, strict=True) if a != b]
        self.missing = len(plan.slots)
        self.average = average

    def shown(self, index: int, is_last: bool) -> GradBucket:
        """The bucket as a communication hook sees it, zero between gradients."""
        for gap in self._gaps:
            gap[...] = 0  # hooks that approximate leave something there
        gradients = [Tensor._wrap(view) for view in self.views]
        return GradBucket(index, Tensor._wrap(self.array), gradients, self.parameters, is_last)


class Reducer:
    """Hooks into the parameters' gradients and keeps their averages equal on all ranks.

    `named` are the parameters that require gradients, under their full names, `frozen` those that
    do not. `group` is the process group. With `static` every pass uses the parameters that the
    first one did, as often. The hooks go when the reducer does.
    """

    def __init__(
        self,
        named: Sequence[tuple[str, Tensor]],
        frozen: Sequence[tuple[str, Tensor]],
        plans: Sequence[BucketPlan],
        group: Any,
        find_unused: bool = False,
        static: bool = False,
    ) -> None:
        self.find_unused = find_unused and not static
        self.static = static
        self.names = [name for name, _ in named]
        self.parameters = [parameter for _, parameter in named]
        self.frozen = frozen
        self.group = group
        self.sync = True
        self.comm_hook: CommHook | None = None
        self.after: Callable[[], None] | None = None  # called when all averages are there
        self.n_averaged: int | None = None  # ranks with data, if not all have
        self.places: list[tuple[dict[str, Any], str, int]] = []  # of modules, by parameter
        memories = _allocate(group, plans)
        self.buckets = [
            Bucket(p, m, self.parameters, average)
            for p, m, average in zip(plans, memories, _averages(group, len(plans)), strict=True)
        ]
        self._place = {
            slot.parameter: (number, bucket.views[k])
            for number, bucket in enumerate(self.buckets)
            for k, slot in enumerate(bucket.plan.slots)
        }
        self._landings = [land_in(p, self._place[i][1]) for i, p in enumerate(self.parameters)]
        self._expected: Counter[int] | None = None  # with `static`, arrivals in the first pass
        self._unreached: set[int] = set()
        self._reset()
        me = weakref.ref(self)  # parameters own their hooks, and must not keep the buckets alive
        handles = [
            p.register_post_accumulate_grad_hook(_arrival(me, i))
            for i, p in enumerate(self.parameters)
        ]
        weakref.finalize(self, _remove, handles, self._landings)

    def fits(self) -> bool:
        """Whether the parameters have the shapes and dtypes that the buckets were made for."""
        return all(
            p._array.shape == landing.memory.shape and p._array.dtype == landing.memory.dtype
            for p, landing in zip(self.parameters, self._landings, strict=True)
        )

    def check_places(self) -> None:
        """Raise RuntimeError if a module holds another parameter than the one known here."""
        for holder, name, i in self.places:
            held = holder.get(name)
            if held is not None and held is not self.parameters[i]:
                rank = self.group.rank
                raise RuntimeError(complaints.REPLACED.format(name=self.names[i], rank=rank))

    def prepare(self, sync: bool, outputs: Any) -> None:
        """Get ready for the backward pass of the forward that just returned `outputs`.

        Raises RuntimeError if the last pass did not end, or a parameter has been unfrozen.
        """
        rank = self.group.rank
        if self._in_backward and self._n_started:
            n = len(self.buckets)
            raise RuntimeError(
                complaints.UNFINISHED.format(rank=rank, started=self._n_started, n=n)
            )
        for name, parameter in self.frozen:
            if parameter._requires_grad:
                raise RuntimeError(complaints.THAWED.format(name=name, rank=rank))
        self.sync = sync
        if sync and self.find_unused:
            reached = nodes_below(tensors_in(outputs))
            self._unreached = {
                i for i, p in enumerate(self.parameters) if p._accumulator not in reached
            }
        self._reset()

    def _reset(self) -> None:
        self._tally: Counter[int] = Counter()  # how often gradients came
        self._arrived: set[int] = set()
        self._absent: set[int] = set()  # counted as arrived, without a gradient
        self._with_history: set[int] = set()  # their gradients can be differentiated
        self._works: list[Any] = []
        self._n_started = 0  # buckets
        self._in_backward = False
        for bucket in self.buckets:
            bucket.missing = len(bucket.plan.slots)
        for i, landing in enumerate(self._landings):
            landing.free = i not in self._unreached  # whose place may be set to zero at any time

    # ---- as gradients come --------------------------------------------------------------------

    def take_in(self, i: int, parameter: Tensor) -> None:
        """Take a gradient that is complete for its bucket; start full buckets."""
        self._move(i, parameter)
        if not self.sync:
            return
        first = not self._in_backward
        if first:
            self._in_backward = True
            queue_callback(self._finish)
        if self.static:
            self._take_in_static(i, first)
            return
        if first:
            frozen = {k for k, p in enumerate(self.parameters) if not p._requires_grad}
            self._count_absent((self._unreached | frozen) - {i})
        self._count(i)

    def _take_in_static(self, i: int, first: bool) -> None:
        self._tally[i] += 1
        if self._expected is None:
            return  # the first pass: `_finish` learns from the tally
        if first:
            self._count_absent(set(range(len(self.parameters))) - set(self._expected))
        if self._tally[i] > self._expected[i]:
            raise RuntimeError(complaints.graph_changed([i], self.names, self.group.rank))
        if self._tally[i] == self._expected[i]:
            self._count(i)

    def _move(self, i: int, parameter: Tensor) -> None:
        """Make a parameter's gradient the view of its bucket, with the same values.

        One that can be differentiated stays as it is until its average is known.
        """
        number, view = self._place[i]
        landing, grad = self._landings[i], parameter._grad
        assert grad is not None
        array = grad._array
        if array is view:
            landing.show(grad)
            return
        if number < self._n_started:
            raise RuntimeError(complaints.TWICE.format(name=self.names[i], rank=self.group.rank))
        if array.shape != view.shape or array.dtype != view.dtype:
            self._refuse(i, grad, view)
        landing.vacate()
        view[...] = array
        if grad._requires_grad:
            self._with_history.add(i)
        else:
            parameter._grad = landing.show()

    def _refuse(self, i: int, grad: Tensor, view: Any) -> None:
        raise RuntimeError(
            complaints.CHANGED.format(
                name=self.names[i],
                old_shape=list(view.shape),
                old_dtype=Tensor._wrap(view).dtype,
                shape=list(grad._array.shape),
                dtype=grad.dtype,
                rank=self.group.rank,
            )
        )

    def _count_absent(self, parameters: Iterable[int]) -> None:
        """Count parameters that get no gradient in this pass: they add what they have, or zero."""
        for i in sorted(parameters):
            self._absent.add(i)
            if self.parameters[i]._grad is None:
                self._landings[i].vacate()
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
            raise RuntimeError(complaints.TWICE.format(name=self.names[i], rank=self.group.rank))
        self._arrived.add(i)
        self.buckets[number].missing -= 1
        # The last one is left to `_finish`: with nothing to overlap, a thread only costs time.
        while self._n_started < len(self.buckets) - 1:
            if self.buckets[self._n_started].missing:
                break
            self._start(in_background=True)

    # ---- reduction ----------------------------------------------------------------------------

    def _start(self, in_background: bool) -> None:
        """Reduce the next bucket."""
        number = self._n_started
        self._n_started += 1
        try:
            work = self._reduction(number, in_background)
        except GroupUnusableError:
            self._wait()  # the error of an earlier bucket is the cause
            raise
        if work is not None:
            self._works.append(work)

    def _reduction(self, number: int, in_background: bool) -> Any:
        """Reduce a bucket; returns what is to be waited for, None if nothing is."""
        bucket = self.buckets[number]
        if self.comm_hook is None:
            return self.group.all_reduce(bucket.array, bucket.average, async_op=in_background)
        future = self.comm_hook(bucket.shown(number, number == len(self.buckets) - 1))
        if not isinstance(future, Future):
            raise RuntimeError(
                "DDP communication hook's callback must return a torch.futures.Future object, but "
                f"got {type(future).__name__}"
            )
        return _Hooked(future, bucket)

    def _wait(self) -> None:
        for work in self._works:
            work.wait()

    def _finish(self) -> None:
        """Reduce what is left and wait for the averages; runs when backward is complete."""
        if self.static:
            self._learn_or_check()
        missing = [i for i in range(len(self.names)) if i not in self._arrived]
        if missing and not self.find_unused:
            text = complaints.without_gradient(missing, self.names, self.group.rank)
            raise RuntimeError(text)
        self._count_absent(missing)
        begun_s = monotonic()
        self._reduce_rest()
        if self.find_unused or self._unused_are_new:
            self._agree_on_use()
        phases.note(phases.AVERAGING, begun_s)
        self._show_averages()
        self._check_untaken()
        self._reset()
        if self.after is not None:
            self.after()

    def _check_untaken(self) -> None:
        """Raise RuntimeError if a gradient was stepped with, and dropped, before its average."""
        if self.comm_hook is not None:
            return  # which may step itself, with averages
        for i in self._arrived:
            if self.parameters[i]._grad is None and i not in self._absent:
                rank = self.group.rank
                raise RuntimeError(complaints.TAKEN.format(name=self.names[i], rank=rank))

    def _reduce_rest(self) -> None:
        while self._n_started < len(self.buckets):
            self._start(in_background=self._n_started < len(self.buckets) - 1)
        self._wait()
        if self.n_averaged is not None and self.n_averaged != self.group.size:
            for bucket in self.buckets:
                bucket.array *= bucket.array.dtype.type(self.group.size / self.n_averaged)

    @property
    def _unused_are_new(self) -> bool:
        return self.static and not self._used_anywhere.size

    def _learn_or_check(self) -> None:
        """Note, or compare, which parameters a pass of a static graph used and how often."""
        if self._expected is None:
            self._expected = self._tally
            self._count_absent(set(range(len(self.parameters))) - set(self._tally))
            for i in self._tally:
                self._count(i)
        elif self._tally != self._expected:
            changed = [i for i in self._expected if self._tally[i] != self._expected[i]]
            raise RuntimeError(complaints.graph_changed(changed, self.names, self.group.rank))

    _used_anywhere = np.zeros(0, np.uint8)  # by parameter; of the last pass in which it was asked

    def _agree_on_use(self) -> None:
        used = np.ones(len(self.parameters), np.uint8)
        # One with a gradient of passes before, under no_sync(), has added that to the average.
        used[[i for i in self._absent if self.parameters[i]._grad is None]] = 0
        self.group.all_reduce(used, ReduceOp.MAX)
        self._used_anywhere = used

    def _show_averages(self) -> None:
        """Give parameters unused here the average over the ranks that used them, if any did."""
        for i in self._with_history:
            grad = self.parameters[i]._grad
            assert grad is not None
            # Not written over: the array may be part of the graph.
            self.parameters[i]._grad = _same_history(grad, self._place[i][1].copy())
        if not self._used_anywhere.size:
            return
        for i in self._absent:
            parameter = self.parameters[i]
            if self._used_anywhere[i] and parameter._requires_grad and parameter._grad is None:
                parameter._grad = self._landings[i].show()

    def shadow(self) -> None:
        """Take part in a backward pass of the other ranks, adding zeros."""
        self._reset()
        for parameter, landing in zip(self.parameters, self._landings, strict=True):
            parameter._grad = None
            landing.vacate()
            if parameter._requires_grad:
                parameter._grad = landing.show()
        for bucket in self.buckets:
            bucket.array[...] = 0
        self._reduce_rest()
        if self.find_unused or self._unused_are_new:
            self._absent = set(range(len(self.parameters)))
            self._agree_on_use()
        self._reset()


class _Hooked:
    """The result of a communication hook, on its way into the bucket."""

    def __init__(self, future: Future[Any], bucket: Bucket) -> None:
        self.future, self.bucket = future, bucket

    def wait(self) -> None:
        """Write what the hook returned over the bucket, unless it is the bucket."""
        value = self.future.wait()
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if not isinstance(value, Tensor):
            raise RuntimeError(
                "expected the communication hook's Future to hold a Tensor, but got "
                f"{type(value).__name__}"
            )
        array, target = value._array, self.bucket.array
        if array is not target:
            target[...] = array.reshape(target.shape)


def _same_history(grad: Tensor, array: Any) -> Tensor:
    """A tensor of other values that is differentiated as `grad` is."""
    result = Tensor._wrap(array)
    result._requires_grad = True
    result._grad_fn, result._output_nr = grad._grad_fn, grad._output_nr
    return result


def _arrival(reducer: weakref.ref[Reducer], i: int) -> Callable[[Tensor], None]:
    """The hook of parameter `i`."""

    def arrived(parameter: Tensor) -> None:
        alive = reducer()
        if alive is not None:
            alive.take_in(i, parameter)

    return arrived


def _remove(handles: Iterable[RemovableHandle], landings: Iterable[Landing]) -> None:
    for handle in handles:
        handle.remove()
    for landing in landings:
        landing.withdraw()


# How many models each group has averaged gradients of; equal on its ranks, which wrap together.
_n_models: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _averages(group: Any, n_buckets: int) -> list[NamedOp]:
    """The reductions of the buckets of one more model.

    Ranks whose backward passes go through several models in different orders thereby find out.
    """
    model = _n_models[group] = _n_models.get(group, 0) + 1
    return [NamedOp(ReduceOp.AVG, f"AVG of model {model}, bucket {i}") for i in range(n_buckets)]


def _allocate(group: Any, plans: Sequence[BucketPlan]) -> list[Any]:
    """Memory for buckets that all ranks reduce in place; zeroed, padding is averaged too."""
    sizes = [plan.numel * plan.np_dtype.itemsize for plan in plans]
    try:
        memories = [group.allocate(nbytes) for nbytes in sizes]
    except SharedMemoryError as error:
        text = complaints.NO_MEMORY.format(error=error, nbytes=sum(sizes))
        raise SharedMemoryError(text) from None
    return [
        memory.view(plan.np_dtype)[: plan.numel]
        for memory, plan in zip(memories, plans, strict=True)
    ]
