"""`Function`: users' own operations, PyTorch's signature, on the same engine as `Op`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.grad_mode import STATE, no_grad
from disttorch.autograd.node import Node, edge_of
from disttorch.autograd.op import FREED, Op
from disttorch.autograd.saved import modified_message
from disttorch.dtype import TYPE_NAMES
from disttorch.tensor import Tensor


class FunctionCtx:
    """What `forward` and `backward` of a Function share."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Tensor, ...] = ()
    _non_differentiable: tuple[Tensor, ...] = ()
    _materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`, where they are `ctx.saved_tensors`."""
        self._to_save = tensors

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

    function: type[Function]
    _saved: Sequence[Any] | None = ()  # what is kept; None once freed

    def name(self) -> str:
        """Return the class name with ``Backward`` added, as PyTorch does."""
        return f"{self.function.__name__}Backward"

    def _keep(self, outputs: tuple[Any, ...]) -> None:
        """Hold saved tensors: outputs by position (no cycle through this node), inputs whole."""
        entries: list[Any] = []
        for t in self._to_save:
            k = next((i for i, y in enumerate(outputs) if y is t), None)
            if t is None:
                entries.append(None)
            else:
                kept = t if k is None else t.detach()
                entries.append((kept, k, t._cell, t._cell[0]))
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
            kept, k, cell, version = entry
            if cell[0] != version:
                edge = (self, k) if k is not None else kept.grad_fn and edge_of(kept)
                raise RuntimeError(
                    modified_message(TYPE_NAMES[kept.dtype], kept.shape, edge, cell, version)
                )
            if k is not None:
                kept = kept.detach()
                kept._grad_fn, kept._output_nr, kept._requires_grad = self, k, True
            tensors.append(kept)
        return tuple(tensors)

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
        results = self.function.backward(self, *shown)
        results = results if isinstance(results, (tuple, list)) else (results,)
        self._check_count(results)
        return tuple(r if r is None or functions.recorded else r._array for r in results)

    def _materialized(self, k: int) -> Tensor | None:
        if not self._materialize:
            return None
        shape, np_dtype = self.metas[k]
        return Tensor._wrap(self.backend.xp.zeros(shape, np_dtype))

    def _check_count(self, results: Any) -> None:
        """PyTorch's error for a `backward` that returns too few or too many gradients."""
        n = len(self.edges)
        extra_are_none = all(r is None for r in results[n:])
        if len(results) < n or not extra_are_none:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {n}, "
                f"got {len(results)})"
            )
        for i, r in enumerate(results[:n]):
            if r is not None and not isinstance(r, Tensor):
                raise TypeError(
                    f"expected Variable or None (got {type(r).__name__}) as gradient {i} of "
                    f"{self.name()}"
                )


def _tensor(array: Any) -> Tensor:
    return Tensor._wrap(array) if hasattr(array, "flags") else Tensor(array)


class Function:
    """Base of users' operations: static `forward(ctx, ...)` and `backward(ctx, *grads)`.

    With `setup_context(ctx, inputs, output)` defined, `forward` takes no ctx. Apply with
    ``MyFunction.apply(...)``
    (https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd).
    """

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

    @classmethod
    def apply(cls, *args: Any, **keywords: Any) -> Any:
        """Run `forward` without recording and record this function as one node."""
        node = FunctionNode()
        node.function = cls
        tensors = [a for a in args if isinstance(a, Tensor)]
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        separate = cls.setup_context is not Function.setup_context
        with no_grad():
            if separate:
                result = cls.forward(*args, **keywords)
                cls.setup_context(node, args, result)
            else:
                result = cls.forward(node, *args, **keywords)
        outputs = result if isinstance(result, tuple) else (result,)
        if STATE.enabled and any(t.requires_grad and t.is_leaf for t in node._dirty):
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation."
            )
        if any(node.needs_input_grad) and STATE.enabled:
            outputs = _record(node, args, outputs)
        elif tensors:
            node._keep(outputs)
        for t in node._dirty:
            t._cell[0] += 1
        return outputs if isinstance(result, tuple) else outputs[0]


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
    for k, y in enumerate(fresh):
        if isinstance(y, Tensor) and id(y) not in plain and y._array.dtype.kind in "fcV":
            y._grad_fn, y._output_nr, y._requires_grad = node, k, True
            y._cell[1] += id(y) in dirty
    node._keep(tuple(fresh))
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
