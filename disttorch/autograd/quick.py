"""`Op.apply`, cut short for operators that are one function of the array library.

On ten numbers the arithmetic takes half a microsecond and everything around it three times that,
so the commonest operators get an `apply` of their own: it takes operands that need no promotion,
cast or check straight to the array function and leaves all others to `Op.apply`. What it records
is the same. It is written out for one and for two operands, because each call of a Python function
on this path is a tenth of the whole (`python -m benchmarks.tiny --stages`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from disttorch.autograd.anomaly import STATE as ANOMALY
from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.node import accumulator_of, next_sequence
from disttorch.autograd.op import DIFFERENTIABLE_KINDS, Op
from disttorch.autograd.saved import SAVED_HOOKS, pack
from disttorch.backends import BACKEND_BY_TYPE, Backend
from disttorch.inference import THREADS, mark
from disttorch.tensor import Tensor

OpType = TypeVar("OpType", bound=type[Op])
Compute = Callable[..., Any]

_new = object.__new__
# Larger arrays go the ordinary way, which may cut them into pieces; the detour costs nothing there.
_LARGE = 1 << 15
_WIDEST_INT = 1 << 63
ALL_KINDS = "fcViub"


class _Functions(dict[type, tuple[Backend, Compute]]):
    """The backend and array function of an op by type of array, found at the first use."""

    def __init__(self, op: type[Op]) -> None:
        self.op = op

    def __missing__(self, array_type: type) -> tuple[Backend, Compute]:
        backend = BACKEND_BY_TYPE[array_type]
        self[array_type] = found = backend, self.op.array_function(backend)
        return found


def quick(
    n_inputs: int | None, kinds: str = ALL_KINDS, keeps: str = "", *, settings: bool = False
) -> Callable[[OpType], OpType]:
    """Give an op whose `forward` is ``xp.<ufunc>(...)`` a short `apply`: ``@quick(2)``.

    It is taken by one tensor, or two of the same dtype, of a dtype of `kinds`; of two operands one
    may be a number beside a floating tensor. `keeps`: what `backward` finds in `saved`, "input"
    (both, of two), "output", "both" (of an op with one input) or nothing; "shape": `ctx.shape`;
    "input, ranks": `ctx.see_ranks` is told theirs. With `settings` the one input is followed by
    numbers (or None), which are kept with it, or by keywords, which `backward` finds as attributes.
    None for `n_inputs`: any number of them, of one dtype but for `Op.apart`, and keywords;
    `keeps` is "first", "second" or "two" of them then, or "shapes": `ctx.shapes`.
    `apply` is bound to the class: one derived from it needs `quick` too.
    """

    def shorten(op: OpType) -> OpType:
        way = _SHORT_WAYS[n_inputs, settings]
        QUICK_OPS[op] = functools.partial(way, op, kinds, keeps)
        # Not `op.apply`, which may be the short one of a base class.
        general = next(
            vars(c)["apply"] for c in op.__mro__ if isinstance(vars(c).get("apply"), classmethod)
        )
        op.apply = quick_or(op, general.__get__(None, op))  # type: ignore[method-assign]
        return op

    return shorten


# What makes the short `apply` of an op, given what does the rest.
QUICK_OPS: dict[type[Op], Callable[[Compute], Compute]] = {}


def quick_or(op: type[Op], otherwise: Compute) -> Compute:
    """Return a short `apply` of a `quick` op that leaves to `otherwise` what is not for it."""
    short: Any = QUICK_OPS[op](otherwise)
    short.otherwise = otherwise
    return short  # type: ignore[no-any-return]


def _unary(op: type[Op], kinds: str, keeps: str, general: Compute) -> Compute:
    """The short `apply` of an op with one input."""
    functions, differentiable = _Functions(op), op.differentiable

    def apply(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return general(x)
        array = x._array
        if array.dtype.kind not in kinds or array.size > _LARGE:
            return general(x)
        if x._view is not None:
            x._refresh()
        recorded = x._requires_grad and differentiable and STATE.enabled
        if recorded and (ANOMALY.enabled or SAVED_HOOKS):
            return general(x)
        backend, compute = functions[type(array)]
        out = compute(array)
        if type(out) is not type(array):
            out = backend.asarray(out)  # NumPy turns 0-d results into scalars
        y: Tensor = _new(Tensor)
        y._array = out
        y._cell = [0, 0]
        y._grad = y._view = y._accumulator = None
        y._output_nr = 0
        y._requires_grad = recorded
        y._grad_fn = _node_of_one(op, backend, keeps, x, y) if recorded else None
        if THREADS and not recorded:
            mark(y)
        return y

    return apply


def _with_settings(op: type[Op], kinds: str, keeps: str, general: Compute) -> Compute:
    """The short `apply` of an op with one input, then numbers and keywords, which it notes."""
    functions, differentiable = _Functions(op), op.differentiable

    def apply(x: Any, *numbers: Any, **settings: Any) -> Any:
        if not isinstance(x, Tensor):
            return general(x, *numbers, **settings)
        array = x._array
        if array.dtype.kind not in kinds or array.size > _LARGE:
            return general(x, *numbers, **settings)
        for number in numbers:
            if type(number) is not float and number is not None:
                if type(number) is not int or not -_WIDEST_INT < number < _WIDEST_INT:
                    return general(x, *numbers, **settings)
        if x._view is not None:
            x._refresh()
        recorded = x._requires_grad and differentiable and STATE.enabled
        if recorded and (ANOMALY.enabled or SAVED_HOOKS):
            return general(x, *numbers, **settings)
        backend, compute = functions[type(array)]
        out = compute(array, *numbers, **settings)
        if type(out) is not type(array):
            out = backend.asarray(out)
        y: Tensor = _new(Tensor)
        y._array = out
        y._cell = [0, 0]
        y._grad_fn = y._grad = y._view = y._accumulator = None
        y._output_nr = 0
        recorded = recorded and out.dtype.kind in DIFFERENTIABLE_KINDS  # a cast may be to integers
        y._requires_grad = recorded
        if recorded:
            y._grad_fn = node = _node_of_one(op, backend, keeps, x, y)
            if numbers:
                node.edges += (None,) * len(numbers)  # type: ignore[operator]
                node._saved[1:1] = [(n, None, 0, None) for n in numbers]  # type: ignore[index]
            else:
                node.__dict__.update(settings)
        elif THREADS:
            mark(y)
        return y

    return apply


def _several(op: type[Op], kinds: str, keeps: str, general: Compute) -> Compute:
    """The short `apply` of an op with any number of inputs and keywords, which its node notes."""
    functions, differentiable, apart = _Functions(op), op.differentiable, op.apart

    def apply(*inputs: Any, **settings: Any) -> Any:
        try:
            arrays = [x._array for x in inputs]
        except AttributeError:
            return general(*inputs, **settings)
        array = arrays[0 if apart == 1 else -1]
        other = None if apart is None else inputs[apart]
        kind, array_type = array.dtype, type(array)
        if array.size > _LARGE or kind.kind not in kinds:
            return general(*inputs, **settings)
        requires_grad = False
        for x in inputs:
            a = x._array
            if (a.dtype is not kind and x is not other) or type(a) is not array_type:
                return general(*inputs, **settings)
            if x._view is not None:
                x._refresh()
            if x._requires_grad:
                requires_grad = True
        recorded = requires_grad and differentiable and STATE.enabled
        if recorded and (ANOMALY.enabled or SAVED_HOOKS):
            return general(*inputs, **settings)
        backend, compute = functions[array_type]
        try:
            out = compute(*arrays, **settings)
        except (ValueError, IndexError):
            return general(*inputs, **settings)
        if type(out) is not type(array):
            out = backend.asarray(out)
        y: Tensor = _new(Tensor)
        y._array = out
        y._cell = [0, 0]
        y._grad_fn = y._grad = y._view = y._accumulator = None
        y._output_nr = 0
        y._requires_grad = recorded
        if recorded:
            y._grad_fn = node = _node_of_several(op, backend, keeps, inputs, arrays, y)
            node.__dict__.update(settings)
        elif THREADS:
            mark(y)
        return y

    return apply


def _node_of_several(
    op: type[Op],
    backend: Backend,
    keeps: str,
    inputs: tuple[Tensor, ...],
    arrays: list[Any],
    y: Tensor,
) -> Op:
    """The history of the output of an op with several inputs: `Op._record`, spelt out."""
    node: Op = _new(op)
    node.backend, node.hooks = backend, None
    edges: list[Any] = []
    for x in inputs:
        if not x._requires_grad:
            edges.append(None)
        elif x._grad_fn is None:
            edges.append((x._accumulator or accumulator_of(x), 0))
        else:
            edges.append((x._grad_fn, x._output_nr))
    node.edges = edges
    out = y._array
    node.metas = ((out.shape, out.dtype),)
    node.seq = next_sequence()
    node._saved = ()
    if "shapes" in keeps:
        node.shapes = [a.shape for a in arrays]  # type: ignore[attr-defined]
    if "first" in keeps or "second" in keeps:
        k = 0 if "first" in keeps else 1
        x = inputs[k]
        node._saved = [(x._array, x._cell, x._cell[0], k)]
    elif "two" in keeps:
        node._save_inputs, node._save_outputs = (0, 1), ()
        node._saved = pack(node, inputs, arrays, ())
    return node


def _node_of_one(op: type[Op], backend: Backend, keeps: str, x: Tensor, y: Tensor) -> Op:
    """The history of the output of an op with one input: `Op._record`, spelt out."""
    node: Op = _new(op)
    node.backend, node.hooks = backend, None
    fn = x._grad_fn
    node.edges = ((x._accumulator or accumulator_of(x), 0) if fn is None else (fn, x._output_nr),)
    out = y._array
    node.metas = ((out.shape, out.dtype),)
    node.seq = next_sequence()
    if keeps == "output":
        node._saved = [(out, y._cell, 0, -1)]
    elif keeps == "both":
        cell = x._cell
        node._saved = [(x._array, cell, cell[0], 0), (out, y._cell, 0, -1)]
    elif keeps == "shape":
        node._saved = ()
        node.shape = x._array.shape  # type: ignore[attr-defined]
    elif keeps:
        cell = x._cell
        node._saved = [(x._array, cell, cell[0], 0)]
    else:
        node._saved = ()
    return node


def _binary(op: type[Op], kinds: str, keeps: str, general: Compute) -> Compute:
    """The short `apply` of an op with two inputs."""
    functions, differentiable = _Functions(op), op.differentiable
    any_kind = kinds == ALL_KINDS
    weak = "f" in kinds and "ranks" not in keeps  # whether one operand may be a number
    beside_number = _beside_number(op, keeps, general, functions) if weak else general

    def apply(x: Any, y: Any) -> Any:
        if not (isinstance(y, Tensor) and isinstance(x, Tensor)):
            return beside_number(x, y)
        a, b = x._array, y._array
        if b.dtype is not a.dtype or type(b) is not type(a) or a.size > _LARGE:
            return general(x, y)
        if not (any_kind or a.dtype.kind in kinds):
            return general(x, y)
        if x._view is not None:
            x._refresh()
        if y._view is not None:
            y._refresh()
        recorded = (x._requires_grad or y._requires_grad) and differentiable and STATE.enabled
        if recorded and (ANOMALY.enabled or SAVED_HOOKS):
            return general(x, y)
        backend, compute = functions[type(a)]
        try:
            out = compute(a, b)
        except ValueError:  # shapes that do not broadcast: PyTorch's error
            return general(x, y)
        if type(out) is not type(a):
            out = backend.asarray(out)
        z: Tensor = _new(Tensor)
        z._array = out
        z._cell = [0, 0]
        z._grad = z._view = z._accumulator = None
        z._output_nr = 0
        z._requires_grad = recorded
        z._grad_fn = _node_of_two(op, backend, keeps, x, y, z) if recorded else None
        if THREADS and not recorded:
            mark(z)
        return z

    return apply


# By the number of inputs, and whether there are keywords.
_SHORT_WAYS: dict[tuple[int | None, bool], Callable[..., Compute]] = {
    **{(1, False): _unary, (2, False): _binary, (1, True): _with_settings, (None, True): _several},
}


def _beside_number(op: type[Op], keeps: str, general: Compute, functions: _Functions) -> Compute:
    """The short `apply` of an op with two inputs for a floating tensor and a real number."""
    differentiable = op.differentiable

    def apply(x: Any, y: Any) -> Any:
        t, number = (x, y) if isinstance(x, Tensor) else (y, x)
        if type(number) is int:
            fits = -_WIDEST_INT < number < _WIDEST_INT
        else:
            fits = type(number) is float
        if not fits or not isinstance(t, Tensor):
            return general(x, y)
        array = t._array
        if array.dtype.kind != "f" or array.size > _LARGE:
            return general(x, y)
        if t._view is not None:
            t._refresh()
        recorded = t._requires_grad and differentiable and STATE.enabled
        if recorded and (ANOMALY.enabled or SAVED_HOOKS):
            return general(x, y)
        backend, compute = functions[type(array)]
        out = compute(array, number) if t is x else compute(number, array)
        if type(out) is not type(array):
            out = backend.asarray(out)
        z: Tensor = _new(Tensor)
        z._array = out
        z._cell = [0, 0]
        z._grad = z._view = z._accumulator = None
        z._output_nr = 0
        z._requires_grad = recorded
        z._grad_fn = _node_of_two(op, backend, keeps, x, y, z) if recorded else None
        if THREADS and not recorded:
            mark(z)
        return z

    return apply


def _node_of_two(op: type[Op], backend: Backend, keeps: str, x: Any, y: Any, z: Tensor) -> Op:
    """The history of the output of an op with two inputs: `Op._record`, spelt out.

    One of them may be a number.
    """
    node: Op = _new(op)
    node.backend, node.hooks = backend, None
    edge_x = edge_y = None
    if isinstance(x, Tensor) and x._requires_grad:
        fn = x._grad_fn
        edge_x = (x._accumulator or accumulator_of(x), 0) if fn is None else (fn, x._output_nr)
    if isinstance(y, Tensor) and y._requires_grad:
        fn = y._grad_fn
        edge_y = (y._accumulator or accumulator_of(y), 0) if fn is None else (fn, y._output_nr)
    node.edges = (edge_x, edge_y)
    out = z._array
    node.metas = ((out.shape, out.dtype),)
    node.seq = next_sequence()
    if keeps == "input, ranks":
        node.see_ranks(x._array.ndim, y._array.ndim)  # type: ignore[attr-defined]
    if not keeps:
        node._saved = ()
    elif edge_x is None or edge_y is None:
        node._save_inputs, node._save_outputs = (0, 1), ()
        arrays = [t._array if isinstance(t, Tensor) else t for t in (x, y)]
        node._saved = pack(node, (x, y), arrays, ())
    else:
        cell_x, cell_y = x._cell, y._cell
        node._saved = [(x._array, cell_x, cell_x[0], 0), (y._array, cell_y, cell_y[0], 1)]
    return node


def quick_inplace(op: type[Op], function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return ``name_`` for the public operator `function`, which applies `op` to two operands.

    Where nothing is recorded the array function writes over the first operand at once.
    """
    general, functions = inplace_variant(function), _Functions(op)

    @functools.wraps(general)
    def write(self: Tensor, *args: Any, **keywords: Any) -> Tensor:
        if len(args) != 1 or type(self._cell) is not list:
            return general(self, *args, **keywords)
        (other,) = args
        if keywords:
            return scaled(self, other, keywords)
        array = self._array
        if self._view is not None:
            self._refresh()
        if type(other) is float:
            fits, b = array.dtype.kind == "f" and not (self._requires_grad and STATE.enabled), other
        else:
            fits, b = fits_inplace(self, other), getattr(other, "_array", None)
            fits = fits and (op.promotes == "same" or array.dtype.kind == "f")
        if not fits or not array.flags.c_contiguous:
            return general(self, other)
        functions[type(array)][1](array, b, out=array)
        self._cell[0] += 1
        return self

    def scaled(self: Tensor, other: Any, keywords: dict[str, Any]) -> Tensor:
        """With the keyword `alpha`: the other operand is multiplied by it first."""
        alpha, array = keywords.get("alpha"), self._array
        fits = len(keywords) == 1 and type(alpha) is float and fits_inplace(self, other)
        if not fits or array.itemsize == 2 or array.dtype.kind != "f":
            return general(self, other, **keywords)
        if not array.flags.c_contiguous or array.size > _LARGE:
            return general(self, other, **keywords)
        functions[type(array)][1](array, other._array * alpha, out=array)
        self._cell[0] += 1
        return self

    return write


def fits_inplace(target: Tensor, other: Any) -> bool:
    """Whether `other` may be read while `target` is written, without history or a cast."""
    if not isinstance(other, Tensor):
        return False
    if other._view is not None:
        other._refresh()
    a, b = target._array, other._array
    return (
        type(a) is type(b)
        and a.dtype is b.dtype
        and a.dtype.kind in "fi"
        and a.shape == b.shape
        and (other._cell is not target._cell or other is target)
        and not ((target._requires_grad or other._requires_grad) and STATE.enabled)
    )
