"""Nodes of the graph that a backward sweep walks, and the hooks on them."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from disttorch.tensor import Tensor

Array = Any
Edge = tuple["Node", int]  # a node and which of its outputs
Meta = tuple[tuple[int, ...], Any]  # shape and array dtype of an output

next_sequence = itertools.count(1).__next__


class RemovableHandle:
    """What `register_*_hook` returns: `remove()` takes the hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: OrderedDict[int, Any], extra: Any = ()) -> None:
        self.id = next(RemovableHandle._ids)
        self._hooks = weakref.ref(hooks)
        self._extra = [weakref.ref(d) for d in (extra if isinstance(extra, list) else [])]

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        for reference in (self._hooks, *self._extra):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[int, Any, list[Any]]:
        return self.id, self._hooks(), [reference() for reference in self._extra]

    def __setstate__(self, state: tuple[int, Any, list[Any]]) -> None:
        self.id, hooks, extra = state
        # A register that is gone leaves a handle that removes nothing.
        self._hooks = weakref.ref(OrderedDict() if hooks is None else hooks)
        self._extra = [weakref.ref(d) for d in extra if d is not None]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class HookDict(OrderedDict[int, Any]):
    """Hooks by handle id; a class of its own because plain dicts cannot be weakly referenced."""


def add_hook(hooks: HookDict, hook: Callable[..., Any]) -> RemovableHandle:
    """Append `hook` and return its handle."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class Hooks:
    """The hooks of one node, in the order in which a sweep runs them."""

    __slots__ = ("accumulated", "after", "before", "on_output", "retained")

    def __init__(self) -> None:
        self.on_output: dict[int, HookDict] = {}  # by output, on that output's gradient
        self.before = HookDict()  # on all gradients of the outputs
        self.retained: dict[int, weakref.ref[Tensor]] = {}  # outputs that keep their gradient
        self.after = HookDict()  # on the gradients of inputs and outputs
        self.accumulated = HookDict()  # on a leaf whose `.grad` has been added to


class Node:
    """A recorded operation: where its gradients go, and the hooks to run on the way.

    `edges[i]` is where the gradient of input i goes (None: nowhere); `metas[k]` is the shape and
    array dtype of output k, to which incoming gradients are fitted. Nodes made later have a higher
    `seq`. `hooks` is None until the first is registered.
    """

    # Slots, here and in Tensor: every operator makes a node and a tensor, and an attribute with a
    # default in the class is several times as slow to read and write.
    __slots__ = ("__dict__", "__weakref__", "edges", "hooks", "metas", "seq")

    edges: Sequence[Edge | None]
    metas: Sequence[Meta]
    seq: int
    hooks: Hooks | None
    forward_stack: ClassVar[str | None] = None  # where a node was recorded, in anomaly mode

    def __init__(self) -> None:
        self.edges = self.metas = ()
        self.seq = next_sequence()
        self.hooks = None

    def hooked(self) -> Hooks:
        """The hooks of this node, ready to be added to."""
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks

    def name(self) -> str:
        """Return PyTorch's name of this kind of node, such as ``AddBackward0``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that receive this node's input gradients, as in PyTorch."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for users' notes on the node."""
        notes: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        return notes

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the node; it may replace the former."""
        return add_hook(self.hooked().after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before the node runs; it may return replacements."""
        return add_hook(self.hooked().before, hook)

    def hook_output(self, output_nr: int, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(grad)`` on the gradient of one output; it may return a replacement."""
        return add_hook(self.hooked().on_output.setdefault(output_nr, HookDict()), hook)

    def sweep(self, grads: list[Any], functions: Any) -> Any:
        """Return one gradient (or None) for each input, given those of the outputs.

        `functions` is the namespace `F` the formula computes with; `functions.recorded` tells
        whether gradients are Tensors (create_graph) or raw arrays.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Drop what was saved for backward; a second sweep then raises."""

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"


class AccumulateGrad(Node):
    """The sink of a leaf's gradients: adds them to ``leaf.grad``.

    The leaf owns its sink and the sink refers to the leaf weakly, so that a leaf dies by
    reference count alone; gradients of a dead leaf have nowhere to be seen and are dropped.
    """

    __slots__ = ("_variable", "landing")

    landing: Any  # a `Landing` if there is memory to make gradients in, else None

    def __init__(self, variable: Tensor) -> None:
        super().__init__()
        self._variable = weakref.ref(variable)
        self.landing = None

    def name(self) -> str:
        """Return PyTorch's name."""
        return "torch::autograd::AccumulateGrad"

    def look_at_leaf(self) -> None:
        """Note shape and dtype of the leaf as it is now: `leaf.data` may have been replaced."""
        leaf = self._variable()
        self.metas = () if leaf is None else ((leaf._array.shape, leaf._array.dtype),)

    @property
    def variable(self) -> Tensor | None:
        """The leaf, None once it is gone."""
        return self._variable()


def accumulator_of(leaf: Tensor) -> AccumulateGrad:
    """Return the sink of a leaf that requires grad, made on first use."""
    node = leaf._accumulator
    if node is None:
        node = leaf._accumulator = AccumulateGrad(leaf)
    return node


def edge_of(tensor: Tensor) -> Edge | None:
    """Return where the gradient of `tensor` goes, None if it requires none."""
    if tensor._view is not None:
        tensor._refresh()
    if tensor._grad_fn is not None:
        return tensor._grad_fn, tensor._output_nr
    return (accumulator_of(tensor), 0) if tensor._requires_grad else None
