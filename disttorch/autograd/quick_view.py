"""`Op.apply`, cut short for views: no arithmetic, so that what is around it is all there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from disttorch.autograd.anomaly import STATE as ANOMALY
from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.node import accumulator_of, next_sequence
from disttorch.autograd.op import Op, shares_memory
from disttorch.autograd.views import NthOutput
from disttorch.backends import BACKEND_BY_TYPE
from disttorch.tensor import Tensor

Compute = Callable[..., Any]

_new = object.__new__


class ViewOp(Op):
    """A view with one input and one output; `forward` notes on `ctx` what `backward` reads.

    `look(array, params)`: what `forward` returns, of an op whose notes are the array's shape and
    those parameters that `notes` names. ``of(tensor, params)`` is `apply`, cut short.
    """

    view = True
    look: ClassVar[Callable[[Any, dict[str, Any]], Any] | None] = None
    of: ClassVar[Callable[[Any, dict[str, Any]], Any]]
    notes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.of = staticmethod(_viewer(cls))

    @classmethod
    def apply(cls, x: Any, **params: Any) -> Any:  # type: ignore[override]
        """View a Tensor and record it if it requires grad."""
        return cls.of(x, params) if isinstance(x, Tensor) else super().apply(x, **params)


def _viewer(op: type[ViewOp]) -> Compute:
    """The short `apply` of a view op."""
    look, may_copy, differentiable = op.look, op.may_copy, op.differentiable
    general = vars(Op)["apply"].__get__(None, op)

    def of(x: Tensor, params: dict[str, Any]) -> Any:
        if not STATE.enabled or ANOMALY.enabled:
            return general(x, **params)
        if x._view is not None:
            x._refresh()
        array = x._array
        if look is None:
            node: Any = _new(op)
            node.backend = BACKEND_BY_TYPE[type(array)]
            out = node.forward(array, **params)
        else:
            node, out = None, look(array, params)
        y: Tensor = _new(Tensor)
        y._array = out
        if not may_copy or out.base is array or shares_memory(array, out):
            y._cell = cell = x._cell
            y._view = (x, op, params, cell[1])
        else:
            y._cell, y._view = [0, 0], None
        y._grad = y._accumulator = y._grad_fn = None
        y._output_nr = 0
        y._requires_grad = recorded = x._requires_grad and differentiable
        if recorded:
            y._grad_fn = _node_of_view(op, node, params, x, y)
        return y

    return of


def _node_of_view(op: type[Op], noted: Any, params: dict[str, Any], x: Tensor, y: Tensor) -> Op:
    """The history of a view: the node that `forward` has `noted` on, else one with the params."""
    node: Any = noted
    if node is None:
        array = x._array
        node = _new(op)
        node.backend = BACKEND_BY_TYPE[type(array)]
        node.shape = array.shape
        for name in op.notes:  # type: ignore[attr-defined]
            setattr(node, name, params[name])
    node.hooks, node._saved = None, ()
    fn = x._grad_fn
    node.edges = ((x._accumulator or accumulator_of(x), 0) if fn is None else (fn, x._output_nr),)
    out = y._array
    node.metas = ((out.shape, out.dtype),)
    node.seq = next_sequence()
    return node  # type: ignore[no-any-return]


class ViewsOp(Op):
    """A view op with one input and a tuple of outputs; `forward` notes what `backward` reads."""

    view = True

    @classmethod
    def apply(cls, x: Any, **params: Any) -> Any:  # type: ignore[override]
        """View a Tensor and record it if it requires grad."""
        if not isinstance(x, Tensor) or not STATE.enabled or ANOMALY.enabled:
            return super().apply(x, **params)
        if x._view is not None:
            x._refresh()
        array, cell, recorded = x._array, x._cell, x._requires_grad
        node: Any = _new(cls)
        node.backend = BACKEND_BY_TYPE[type(array)]
        arrays, outputs = node.forward(array, **params), []
        for k, out in enumerate(arrays):
            y: Tensor = _new(Tensor)
            y._array = out
            y._cell = cell
            y._view = (x, NthOutput, {"view": cls, "k": k, **params}, cell[1])
            y._grad = y._accumulator = None
            y._grad_fn, y._output_nr = (node, k) if recorded else (None, 0)
            y._requires_grad = recorded
            outputs.append(y)
        if recorded:
            node.hooks, node._saved = None, ()
            node.metas = [(out.shape, out.dtype) for out in arrays]
            fn = x._grad_fn
            leaf = fn is None
            node.edges = ((x._accumulator or accumulator_of(x), 0) if leaf else (fn, x._output_nr),)
            node.seq = next_sequence()
        return tuple(outputs)
