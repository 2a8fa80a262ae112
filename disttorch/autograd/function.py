"""`Function`: users' own operations, PyTorch's signature, on the same engine as `Op`."""

from __future__ import annotations

import functools
import inspect
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd import anomaly
from disttorch.autograd.grad_mode import STATE, no_grad
from disttorch.autograd.inplace import take_history
from disttorch.autograd.node import Node, edge_of
from disttorch.autograd.op import FREED, Op
from disttorch.autograd.saved import SAVED_HOOKS, Packed, modified_message, with_history
from disttorch.dtype import TYPE_NAMES
from disttorch.tensor import Tensor


class FunctionCtx:
    """What `forward` and `backward` of a Function share."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] = ()
    saved_for_forward: tuple[Any, ...] = ()
    _dirty: tuple[Tensor, ...] = ()
    _non_differentiable: tuple[Tensor, ...] = ()
    _materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`, where they are `ctx.saved_tensors`."""
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`; it is not called here: `backward` serves both directions."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs `forward` modified in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs carry no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (default) or None for outputs nobody used."""
        self._materialize = value


class FunctionNode(Node, FunctionCtx):
    """The node of one application of a Function; it is the `ctx` its methods see."""

    function: Any = None  # a subclass of Function, or an instance called as before PyTorch 1.5
    from_tensors: tuple[bool, ...] = ()  # which arguments of `forward` were tensors
    _saved: Sequence[Any] | None = ()  # what is kept; None once freed

    def name(self) -> str:
        """Return the class name with ``Backward`` added, as PyTorch does."""
        return f"{self.function.__name__}Backward"

    def __repr__(self) -> str:
        return f"<{__name__}.{self.name()} object at {id(self):#x}>"

    def _keep(self, outputs: tuple[Any, ...]) -> None:
        """Hold saved tensors: outputs by position (no cycle through this node), inputs whole."""
        entries: list[Any] = []
        for t in self._to_save:
            k = next((i for i, y in enumerate(outputs) if y is t), None)
            if t is None:
                entries.append(None)
            else:
                kept: Any = t if k is None else t.detach()
                edge = edge_of(t) if k is None and SAVED_HOOKS else None
                if SAVED_HOOKS:
                    kept = Packed(*SAVED_HOOKS[-1], t._array)
                entries.append((kept, k, t._cell, t._cell[0], edge))
        self._saved, self._to_save = entries, ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept; RuntimeError once freed or if modified in place."""
        if self._saved is None:
            raise RuntimeError(FREED)
        if not self._saved:
            return self._to_save
        tensors = []
        for entry in self._saved:
            if entry is None:
                tensors.append(None)
                continue
            kept, k, cell, version, edge = entry
            if type(kept) is Packed:
                kept = with_history(kept.unpack(), edge)
            elif cell[0] != version:
                edge = (self, k) if k is not None else kept.grad_fn and edge_of(kept)
                raise RuntimeError(
                    modified_message(TYPE_NAMES[kept.dtype], kept.shape, edge, cell, version)
                )
            if k is not None:
                kept = kept.detach()
                kept._grad_fn, kept._output_nr, kept._requires_grad = self, k, True
            tensors.append(kept)
        return tuple(tensors)

    saved_variables = saved_tensors

    def release(self) -> None:
        """Drop the saved tensors."""
        if self._saved:
            self._saved = None

    def sweep(self, grads: list[Any], functions: Any) -> tuple[Any, ...]:
        """Call the user's `backward` with Tensors, whatever the sweep runs on."""
        shown = [
            self._materialized(k) if g is None else g if functions.recorded else _tensor(g)
            for k, g in enumerate(grads)
        ]
        results = self.function._formula(self)(*shown)
        results = results if isinstance(results, tuple) else (results,)
        self._check(results)
        return tuple(r if r is None or functions.recorded else r._array for r in results)

    def _materialized(self, k: int) -> Tensor | None:
        if not self._materialize:
            return None
        shape, np_dtype = self.metas[k]
        return Tensor._wrap(self.backend.xp.zeros(shape, np_dtype))

    def _check(self, results: tuple[Any, ...]) -> None:
        """PyTorch's errors for what `backward` returned: how many, and of which types."""
        n = len(self.edges)
        if len(results) < n or any(r is not None for r in results[n:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {n}, "
                f"got {len(results)})"
            )
        for i, r in enumerate(results[:n]):
            if r is not None and not isinstance(r, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(r).__name__})")
            if r is not None and not self.from_tensors[i]:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position "
                    f"{i + 1}, but the corresponding forward input was not a Variable"
                )


def _tensor(array: Any) -> Tensor:
    return Tensor._wrap(array) if hasattr(array, "flags") else Tensor(array)


class Function:
    """Base of users' operations: static `forward(ctx, ...)` and `backward(ctx, *grads)`.

    With `setup_context(ctx, inputs, output)` defined, `forward` takes no ctx. Apply with
    ``MyFunction.apply(...)``
    (https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd). Instances
    whose `forward(self, ...)` and `backward(self, *grads)` are ordinary methods, as before PyTorch
    1.5, can be called: ``MyFunction()(x)``.
    """

    generate_vmap_rule = False
    _backward_cls = FunctionNode  # the type of a subclass's nodes, which bears its name

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._backward_cls = type(f"{cls.__name__}Backward", (FunctionNode,), {"function": cls})

    @staticmethod
    def forward(*args: Any, **keywords: Any) -> Any:
        """Compute the outputs; override."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs; override together with a `forward` that takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return a gradient (or None) for each argument of `forward`; override."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward  # another name of it, for users to choose

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The forward-mode formula; unused, since `backward` serves both directions."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The batching rule; unused, since `disttorch.func.vmap` calls once for each slice."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap static method "
            "or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **keywords: Any) -> Any:
        """Run `forward` without recording and record this function as one node."""
        node = cls._backward_cls()
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **keywords)
                cls.setup_context(node, args, result)
            else:
                result = cls.forward(node, *args, **keywords)
        return _finished(node, args, result)

    @classmethod
    def _formula(cls, node: FunctionNode) -> Callable[..., Any]:
        """`backward` or `vjp` of the class, its ctx bound."""
        formula = cls.backward
        if cls.vjp is not Function.vjp:
            if formula is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                    "You should only implement one of them."
                )
            formula = cls.vjp
        return functools.partial(formula, node)

    # ---- instances ------------------------------------------------------------------------------

    def __call__(self, *args: Any) -> Any:
        """Run `forward(self, ...)` and record this call as one node; RuntimeError if static."""
        if isinstance(inspect.getattr_static(type(self), "forward"), staticmethod):
            raise RuntimeError(
                "Legacy autograd function with non-static forward method is deprecated. Please use "
                "new-style autograd function with static forward method. (Example: "
                "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
                f" {type(self).__name__}.forward is static: use {type(self).__name__}.apply(...) "
                "on the class instead of calling an instance."
            )
        node = self._backward_cls()
        node.function = _Instance(self)
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            result = node.function.of(node).forward(*args)
        return _finished(node, args, result)

    def __getattr__(self, name: str) -> Any:
        """What a ctx has, an instance has: `saved_tensors`, `save_for_backward` and so on."""
        node = self.__dict__.get("_node", _no_node)()
        if node is None or name.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(node, name)


def _no_node() -> None:
    """Stand for the reference to the node of an instance that was not called."""


class _Instance:
    """An instance of a Function as its nodes see it: each call has a node of its own."""

    def __init__(self, instance: Function) -> None:
        self._instance = instance
        self.__name__ = type(instance).__name__

    def of(self, node: FunctionNode) -> Function:
        """The instance, with `node` as its ctx; weakly, since the node refers to it."""
        self._instance.__dict__["_node"] = weakref.ref(node)
        return self._instance

    def _formula(self, node: FunctionNode) -> Callable[..., Any]:
        return self.of(node).backward


class InplaceFunction(Function):
    """A Function whose instances know whether they work in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _finished(node: FunctionNode, args: tuple[Any, ...], result: Any) -> Any:
    """Record a call of `forward` if anything requires grad, and return its outputs."""
    outputs = result if isinstance(result, tuple) else (result,)
    _check_dirty(node, outputs)
    if any(node.needs_input_grad) and STATE.enabled:
        outputs = _record(node, args, outputs)
    elif any(isinstance(a, Tensor) for a in args):
        node._keep(outputs)
    for t in node._dirty:
        t._cell[0] += 1
    return outputs if isinstance(result, tuple) else outputs[0]


def _check_dirty(node: FunctionNode, outputs: tuple[Any, ...]) -> None:
    """PyTorch's errors for tensors that must not be, or were wrongly, marked dirty."""
    for t in node._dirty:
        if not any(y is t for y in outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as "
                "output. The inputs that are modified inplace must all be outputs of the Function."
            )
    if STATE.enabled and any(t.requires_grad and t.is_leaf for t in node._dirty):
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation."
        )


def _record(node: FunctionNode, args: Any, outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make the node the history of its differentiable outputs."""
    inputs = {id(a) for a in args}
    dirty = {id(t) for t in node._dirty}
    plain = {id(t) for t in node._non_differentiable}
    fresh = []
    for y in outputs:
        if isinstance(y, Tensor) and id(y) in inputs and id(y) not in dirty:
            alias = y.detach()
            node._to_save = tuple(alias if t is y else t for t in node._to_save)
            if id(y) in plain:
                plain.add(id(alias))
            y = alias  # noqa: PLW2901 - an input handed back unchanged is a new output
        fresh.append(y)
    node.backend = next(a for a in args if isinstance(a, Tensor)).backend
    node.edges = tuple(edge_of(a) if isinstance(a, Tensor) else None for a in args)
    node.metas = tuple(
        (y._array.shape, y._array.dtype) if isinstance(y, Tensor) else ((), None) for y in fresh
    )
    node.from_tensors = tuple(isinstance(a, Tensor) for a in args)
    for k, y in enumerate(fresh):
        if isinstance(y, Tensor) and id(y) not in plain and y._array.dtype.kind in "fcV":
            if id(y) in dirty and y._view is not None:
                result = y.detach()
                result._grad_fn, result._output_nr, result._requires_grad = node, k, True
                take_history(y, result)
                continue
            y._grad_fn, y._output_nr, y._requires_grad = node, k, True
            y._cell[1] += id(y) in dirty
    node._keep(tuple(fresh))
    if anomaly.STATE.enabled:
        node.forward_stack = "".join(traceback.format_stack()[:-3])
    return tuple(fresh)


class _DifferentiatedTwice(Op):
    """Identity whose backward raises: stands behind the results of a `once_differentiable`."""

    def forward(ctx, x: Any) -> Any:
        """Pass `x` on."""
        return x

    def backward(ctx, g: Any) -> Any:
        """Refuse."""
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a Function's `backward` as not differentiable itself: a second derivative raises."""

    @functools.wraps(backward)
    def guarded(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not STATE.enabled or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return results
        outputs = results if isinstance(results, tuple) else (results,)
        return tuple(
            r if r is None else _DifferentiatedTwice.apply(r.detach().requires_grad_())
            for r in outputs
        )

    return guarded
