"""The backward sweep: nodes run when all their output gradients have come, newest first.

One sweep works on raw arrays (the ordinary case) or, with ``create_graph=True``, on Tensors whose
operations are recorded in turn. `_Sweep` holds what a sweep does; how gradients are added, fitted
to a shape and shown to hooks differs between the two and is in `_RawGrads` and `_RecordedGrads`.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Sequence
from sys import getrefcount
from typing import Any

from disttorch.autograd import anomaly
from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.hook_calls import run_post_hooks, run_pre_hooks
from disttorch.autograd.node import AccumulateGrad, Edge, Node
from disttorch.autograd.recorded import RECORDED
from disttorch.backends import Backend
from disttorch.tensor import Tensor


class _RawGrads:
    """Gradients as raw arrays: nothing is recorded."""

    recorded = False

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.kind: type = backend.array_type  # of a gradient that needs no fitting
        self.F: Any = backend.F

    def enter(self, grad: Tensor) -> Any:
        return grad._array

    def show(self, grad: Any) -> Tensor:
        """Wrap a gradient for a hook or for `.grad`."""
        if type(grad) is not self.backend.array_type:
            grad = self.backend.asarray(grad)
        return Tensor._wrap(grad)

    def show_all(self, grads: Sequence[Any]) -> tuple[Tensor | None, ...]:
        """Wrap gradients for a hook; None where there is none."""
        return tuple(None if g is None else self.show(g) for g in grads)

    def fit(self, grad: Any, shape: tuple[int, ...], np_dtype: Any) -> Any:
        """Undo broadcasting and promotion: sum to `shape`, cast to `np_dtype`."""
        if not hasattr(grad, "dtype"):  # a Python number from a formula on 0-d operands
            grad = self.backend.asarray(grad, np_dtype)
        if grad.shape != shape:
            grad = sum_to_shape(grad, shape, self.F)
        if grad.dtype != np_dtype:
            grad = (grad.real if np_dtype.kind != "c" else grad).astype(np_dtype)
        return grad


class _RecordedGrads(_RawGrads):
    """Gradients as Tensors whose computation is recorded."""

    recorded = True

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.F = RECORDED
        self.kind = type(None)  # all are fitted: arrays and Tensors differ in what a dtype is

    def enter(self, grad: Tensor) -> Any:
        return grad

    def show(self, grad: Any) -> Tensor:
        return grad

    def fit(self, grad: Any, shape: tuple[int, ...], np_dtype: Any) -> Any:
        if not isinstance(grad, Tensor):
            grad = Tensor._wrap(self.backend.asarray(grad, np_dtype))
        if grad._array.shape != shape:
            grad = sum_to_shape(grad, shape, self.F)
        if grad._array.dtype != np_dtype:
            grad = self.F.cast_like(grad, np_dtype)
        return grad


class _UnfitShape(RuntimeError):
    """A formula returned a gradient whose shape its input cannot have been broadcast to."""


def sum_to_shape(grad: Any, shape: tuple[int, ...], functions: Any) -> Any:
    """Sum a gradient over the dimensions along which its input was broadcast from `shape`."""
    lead = grad.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, grad.shape[lead:], strict=True)):
        raise _UnfitShape(
            f"got {list(grad.shape)} but expected shape compatible with {list(shape)}"
        )
    stretched = [lead + i for i, n in enumerate(shape) if n == 1 and grad.shape[lead + i] != 1]
    dims = (*range(lead), *stretched)
    summed = functions.sum(grad, dims, True) if dims else grad
    return functions.reshape(summed, shape) if lead else summed


class _Sweep:
    """One run through the graph."""

    def __init__(
        self,
        grads: _RawGrads,
        keep_graph: bool,
        captures: dict[Edge, int] | None,
        accumulate_into: set[Node] | None = None,
    ) -> None:
        self.grads = grads
        self.watched = anomaly.STATE.enabled
        self.keep_graph = keep_graph
        self.captures = captures
        self.captured: list[Any] = [None] * len(captures or ())
        self.capture_nodes = {node for node, _ in captures or ()}
        self.accumulate_into = accumulate_into
        self.pending: dict[Node, list[Any]] = {}  # the gradients of a node's outputs so far
        self.waiting: dict[Node, int] = {}  # how many consumers have yet to run
        self.needed: set[Node] | None = None
        self.ready: list[tuple[int, Node]] = []
        self.leaves: list[Node] = []  # sinks that have all their gradients

    def run(self, roots: Sequence[tuple[Edge, Any]]) -> None:
        """Propagate the gradients of `roots` (edge, gradient)."""
        nodes = {edge[0] for edge, _ in roots}
        self._count_consumers(nodes)
        for edge, grad in roots:
            self._add(edge, grad)
        for node in nodes:
            if not self.waiting[node]:
                self._push(node)
        ready, leaves, pending = self.ready, self.leaves, self.pending
        while True:
            # Leaves at once, so that their hooks (and the communication they start) overlap with
            # the rest of the sweep.
            if leaves:
                for leaf in leaves:
                    self._finish(leaf)
                leaves.clear()
            if not ready:
                return
            node: Node | None = heapq.heappop(ready)[1]
            while node is not None and not leaves:
                grads = pending.pop(node, None)
                if grads is None or node.hooks is not None or self.captures:
                    grads = self._arrived(node, grads)
                node = self._propagate(node, grads)
                del grads  # whoever gets them next must see that nobody else holds them
            if node is not None:
                self._push(node)

    def _push(self, node: Node) -> None:
        """Queue a node that has all its gradients; the newest comes first."""
        if type(node) is AccumulateGrad:
            self.leaves.append(node)
        else:
            heapq.heappush(self.ready, (-node.seq, node))

    def _count_consumers(self, roots: set[Node]) -> None:
        """Count for each reachable node how many nodes will send it gradients."""
        waiting = self.waiting = dict.fromkeys(roots, 0)
        stack = list(roots)
        while stack:
            node = stack.pop()
            if type(node) is AccumulateGrad:
                node.look_at_leaf()
            for edge in node.edges:
                if edge is not None:
                    source = edge[0]
                    n = waiting.get(source)
                    if n is None:
                        waiting[source] = 1
                        stack.append(source)
                    else:
                        waiting[source] = n + 1
        targets = self.capture_nodes or self.accumulate_into
        if targets:
            self.needed = _ancestors_of(targets, waiting)

    def _add(self, edge: Edge, grad: Any) -> None:
        """Add a gradient for one output of a node to what has come already."""
        node, k = edge
        metas = node.metas
        if metas:  # an AccumulateGrad whose leaf is gone has none
            shape, np_dtype = metas[k]
            if type(grad) is not self.grads.kind or grad.shape != shape or grad.dtype != np_dtype:
                grad = self.grads.fit(grad, shape, np_dtype)
        slots = self.pending.get(node)
        if slots is None:
            slots = self.pending[node] = [None] * (len(metas) or 1)
        slots[k] = grad if slots[k] is None else slots[k] + grad

    def _arrived(self, node: Node, grads: list[Any] | None) -> list[Any]:
        """The gradients of a node's outputs, after its pre-hooks; noted if they were asked for."""
        if grads is None:
            grads = [None] * len(node.metas)
        if node.hooks is not None:
            run_pre_hooks(node.hooks, grads, self.grads)
        if self.captures and node in self.capture_nodes:
            for k, g in enumerate(grads):
                index = self.captures.get((node, k))
                if index is not None:
                    self.captured[index] = g
        return grads

    def will_run(self, node: Node) -> bool:
        """Whether this sweep reaches `node`."""
        return node in self.waiting and (self.needed is None or node in self.needed)

    def _finish(self, leaf: Any) -> None:
        """Hand a leaf its gradient, unless this sweep is for others."""
        grads = self._arrived(leaf, self.pending.pop(leaf, None))
        into = self.accumulate_into
        if self.captures is None and (into is None or leaf in into):
            _accumulate(leaf, grads, self.grads)
            if leaf.hooks is not None and leaf.hooks.after:
                run_post_hooks(leaf.hooks, (), grads, self.grads)

    def _propagate(  # noqa: PLR0912, PLR0915 - for small arrays each call counts
        self, node: Node, grads: list[Any]
    ) -> Node | None:
        """Run the node's formula, send the results along its edges, queue nodes now complete.

        Of a chain, whose links need no queue, the next node is returned.
        """
        needed = self.needed
        unwanted = needed is not None and node not in needed
        if unwanted or (grads[0] is None and all([g is None for g in grads])):
            results: Any = ()
        elif node.hooks is None and not self.watched:
            results = node.sweep(grads, self.grads.F)
        else:
            results = _run(node, grads, self.grads, self.watched)
        if not self.keep_graph:
            node.release()
        edges = node.edges
        if type(results) is not tuple:
            results = (results,)
        if len(results) < len(edges):
            results += (None,) * (len(edges) - len(results))
        waiting, pending, ready, kind = self.waiting, self.pending, self.ready, self.grads.kind
        follower: Node | None = None
        for edge, grad in zip(edges, results, strict=False):
            if edge is None or (needed is not None and edge[0] not in needed):
                continue
            target, k = edge
            if grad is not None:  # `_add`, spelt out: this runs for every input of every operator
                metas = target.metas
                if metas:
                    shape, np_dtype = metas[k]
                    if type(grad) is not kind or grad.shape != shape or grad.dtype is not np_dtype:
                        grad = self._fitted(node, edge, grad, results)  # noqa: PLW2901 - the same
                slots = pending.get(target)
                if slots is not None:
                    slots[k] = grad if slots[k] is None else slots[k] + grad
                elif len(metas) < 2:
                    pending[target] = [grad]
                else:
                    pending[target] = slots = [None] * len(metas)
                    slots[k] = grad
            left = waiting[target] - 1
            if left:
                waiting[target] = left
            elif follower is None and not ready and type(target) is not AccumulateGrad:
                follower = target
            else:
                self._push(target)
        if follower is not None and ready:
            self._push(follower)
            return None
        return follower

    def _fitted(self, node: Node, edge: Edge, grad: Any, results: tuple[Any, ...]) -> Any:
        """Fit a gradient to the output it is for; PyTorch's error if that is impossible."""
        target, k = edge
        try:
            return self.grads.fit(grad, *target.metas[k])
        except _UnfitShape as error:
            i = next(i for i, g in enumerate(results) if g is grad and node.edges[i] is edge)
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {i} - {error}"
            ) from None


def _ancestors_of(targets: set[Node], reachable: Iterable[Node]) -> set[Node]:
    """Nodes of `reachable` from which a target can be reached, targets included."""
    needed = set(targets)
    # An edge always leads to an older node, so ascending age visits targets first.
    for node in sorted(reachable, key=lambda n: n.seq):
        if any(edge is not None and edge[0] in needed for edge in node.edges):
            needed.add(node)
    return needed


def _run(node: Node, grads: list[Any], mode: _RawGrads, watched: bool) -> Any:
    """Run a node's formula and the hooks that follow; in anomaly mode say where it was recorded."""
    shown = list(grads)
    try:
        results = node.sweep(grads, mode.F)
    except Exception:
        if watched:
            anomaly.report(node.name(), node.forward_stack)
        raise
    if watched and anomaly.STATE.check_nan:
        _refuse_nan(node, results, mode)
    if node.hooks is not None and node.hooks.after:
        results = run_post_hooks(node.hooks, _fitted_all(node, results, mode), shown, mode)
    return results


def _fitted_all(node: Node, results: Any, mode: _RawGrads) -> tuple[Any, ...]:
    """The gradients of all inputs as hooks see them: of the inputs' shapes and dtypes."""
    given = results if type(results) is tuple else (results,)
    given += (None,) * (len(node.edges) - len(given))
    return tuple(
        g
        if g is None or edge is None or not edge[0].metas
        else mode.fit(g, *edge[0].metas[edge[1]])
        for g, edge in zip(given, node.edges, strict=False)
    )


def _refuse_nan(node: Node, results: Any, mode: _RawGrads) -> None:
    """Raise PyTorch's error if a gradient is NaN."""
    for i, g in enumerate(results if type(results) is tuple else (results,)):
        if g is not None and bool(mode.backend.xp.isnan(mode.show(g)._array).any()):
            anomaly.report(node.name(), node.forward_stack)
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


# References to a gradient that nobody else holds, as `_accumulate` sees it: the list slot
# and getrefcount's own argument. Such an array may become `.grad` without a copy.
_UNSHARED = 2
# Sweeps of several threads may meet in one leaf.
_ACCUMULATING = threading.Lock()


def _accumulate(node: AccumulateGrad, grads: list[Any], mode: _RawGrads) -> None:
    """Add a gradient to its leaf's `.grad`, then run the post-accumulate hooks."""
    leaf = node.variable
    if leaf is None or grads[0] is None:
        return
    with _ACCUMULATING:
        if mode.recorded:
            grad = grads[0]
            leaf._grad = _own_copy(grad, leaf) if leaf._grad is None else leaf._grad + grad
        elif leaf._grad is not None:
            total = leaf._grad._array
            total += grads[0]
            leaf._grad._cell[0] += 1
        else:
            owned = getrefcount(grads[0]) <= _UNSHARED and getattr(grads[0], "base", None) is None
            if not owned and node.landing is not None:
                owned = grads[0] is node.landing.memory
            leaf._grad = mode.show(grads[0] if owned else mode.backend.xp.copy(grads[0]))
    if node.hooks is not None:
        for hook in list(node.hooks.accumulated.values()):
            returned = hook(leaf)
            if returned is not None and not isinstance(returned, Tensor):
                raise TypeError(f"expected Variable, but hook returned '{type(returned).__name__}'")


def _own_copy(grad: Tensor, leaf: Tensor) -> Tensor:
    """A recorded gradient in memory of its own: others may hold `grad`, or share its memory."""
    memory = Tensor._wrap(leaf.backend.xp.empty_like(leaf._array))
    return memory.copy_(grad)


class _Callbacks(threading.local):
    """What to run when the outermost sweep of this thread ends."""

    depth = 0
    accumulates = True  # no sweep of this thread is restricted to some inputs
    sweep: _Sweep | None = None  # the innermost that runs

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []


_CALLBACKS = _Callbacks()


def queue_callback(callback: Callable[[], None]) -> None:
    """Call `callback()` when the backward sweep now running in this thread is complete.

    Raises RuntimeError outside of a sweep.
    """
    if not _CALLBACKS.depth:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    _CALLBACKS.queue.append(callback)


def accumulates_into_all_leaves() -> bool:
    """Whether the sweeps now running in this thread reach every leaf, as `backward()` does."""
    return _CALLBACKS.accumulates


def current_sweep() -> _Sweep | None:
    """The innermost sweep that runs in this thread."""
    return _CALLBACKS.sweep


def _run_callbacks() -> None:
    while _CALLBACKS.queue:
        _CALLBACKS.queue.pop(0)()


def run_backward(
    backend: Backend,
    edges: Sequence[Edge],
    grads: Sequence[Tensor | None],
    keep_graph: bool,
    create_graph: bool,
    captures: dict[Edge, int] | None = None,
    accumulate_into: set[Node] | None = None,
) -> list[Any]:
    """Sweep from `edges` with these gradients; return the captured ones as Tensors or None."""
    mode = _RecordedGrads(backend) if create_graph else _RawGrads(backend)
    sweep = _Sweep(mode, keep_graph, captures, accumulate_into)
    roots = [(e, mode.enter(g)) for e, g in zip(edges, grads, strict=True) if g is not None]
    before, outer_accumulates = STATE.enabled, _CALLBACKS.accumulates
    STATE.enabled = create_graph
    outer, _CALLBACKS.sweep = _CALLBACKS.sweep, sweep
    _CALLBACKS.depth += 1
    _CALLBACKS.accumulates = outer_accumulates and captures is None and accumulate_into is None
    try:
        sweep.run(roots)
        if _CALLBACKS.depth == 1:
            _run_callbacks()
    finally:
        _CALLBACKS.depth -= 1
        _CALLBACKS.sweep, _CALLBACKS.accumulates = outer, outer_accumulates
        if not _CALLBACKS.depth:
            _CALLBACKS.queue.clear()  # a sweep that failed leaves none behind
        STATE.enabled = before
    return [None if g is None else mode.show(g) for g in sweep.captured]
