"""How an operator is declared: one class, forward on arrays, one backward formula.

    class Exp(Op):
        def forward(ctx, x):
            ctx.save_output()
            return ctx.xp.exp(x)

        def backward(ctx, gy):
            (y,) = ctx.saved
            return gy * y

    @public(method=True, inplace=True)
    def exp(input: Tensor) -> Tensor:
        return Exp.apply(input)

An instance of the class is both the context (`ctx`) of its two methods and the node of the graph.
Tensors are positional, everything else is a keyword of `apply` and of `forward`. Inputs are saved
by index and outputs by position, never by array identity: in ``x * x.detach()`` both inputs are
the same array, and identity would give the second derivative of the wrong one.

`backward` is written against operators and `ctx.F`: in an ordinary sweep its operands are raw
arrays, with ``create_graph=True`` they are Tensors and the formula itself is recorded.
Broadcasting and dtype promotion are undone by the engine, not by the formulas.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

from disttorch.autograd import anomaly, pieces
from disttorch.autograd.broadcasting import mismatch
from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.node import AccumulateGrad, Edge, Node, accumulator_of, next_sequence
from disttorch.autograd.promotion import promote
from disttorch.autograd.saved import FREED, SAVED_NAMES, Entry, Packed, pack, saved_value, unpack
from disttorch.autograd.views import NthOutput, UnrecordedView
from disttorch.backends import BACKEND_BY_TYPE, Backend, backend_of
from disttorch.inference import THREADS, mark
from disttorch.tensor import Tensor, refuse_mixed_devices

Array = Any
Fn = TypeVar("Fn", bound=Callable[..., Any])

_new = object.__new__
DIFFERENTIABLE_KINDS = "fcV"  # NumPy kinds that carry gradients; V is bfloat16


class Op(Node):
    """An operator; subclasses define `forward(ctx, *arrays, **params)` and `backward(ctx, *grads)`.

    Class attributes say what the machinery does around the formulas:

    * `promotes`: None: inputs as they are; "same": all to their common dtype;
      "float": the same, integers to the default floating dtype.
    * `view`: the output shares the first input's memory and its version counter.
    * `may_copy`: a view op that copies where memory allows no view.
    * `differentiable`: False for operators without derivative (comparisons, floor...).
    * `non_differentiable_outputs`: positions of outputs that carry no gradient (indices).
    * `pointwise`: the methods, "forward" or "backward", in which an element depends on what is at
      its own position alone: those work on large arrays in pieces that fit the cache, in several
      threads. Such a `forward` keeps arrays by `save` and `save_output` only.
    * `heavy`: those methods of `pointwise` that compute so long on an element that threads pay on
      arrays of medium size; the others are done with it before a second thread is awake.
    * `ufunc`: the function of the array library that `forward` is, if it is just one.
    * `apart`: which input, 0 or 1, is a mask or an index, whose dtype the others need not have.
    * `torch_name`: PyTorch's name of the node where it is not the op's with ``Backward0`` added.
    * `saved_for`: for each input the inputs whose gradients read it; a saved input that no wanted
      gradient reads is not kept, and may be overwritten. Empty: saved inputs are always kept.

    What users see are nodes, so `__name__` is PyTorch's name of the node, ``ExpBackward0``; the
    name of the class as it is written is `op_name`.
    """

    promotes: ClassVar[str | None] = None
    view: ClassVar[bool] = False
    may_copy: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    non_differentiable_outputs: ClassVar[tuple[int, ...]] = ()
    saved_for: ClassVar[tuple[tuple[int, ...], ...]] = ()
    pointwise: ClassVar[tuple[str, ...]] = ()
    heavy: ClassVar[tuple[str, ...]] = ()
    ufunc: ClassVar[str] = ""
    apart: ClassVar[int | None] = None
    torch_name: ClassVar[str] = ""
    op_name: ClassVar[str] = "Op"
    node_name: ClassVar[str] = "Op"

    __slots__ = ("F", "_save_inputs", "_save_outputs", "_saved", "backend")

    backend: Backend
    F: Any
    _save_inputs: tuple[int, ...]
    _save_outputs: tuple[int, ...]
    _saved: Sequence[Entry] | None  # None once freed

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self._save_inputs = self._save_outputs = self._saved = ()

    def forward(ctx, *arrays: Array, **params: Any) -> Any:
        """Compute the output array (or a tuple of them) from the input arrays."""
        raise NotImplementedError

    def backward(ctx, *grads: Any) -> Any:
        """Return the gradient of each input (None where there is none), given the outputs'."""
        raise NotImplementedError

    # ---- for the formulas -------------------------------------------------------------------

    def save(ctx, *inputs: int) -> None:
        """Keep the inputs with these positions for `backward`, where they open `ctx.saved`."""
        ctx._save_inputs = inputs

    def save_output(ctx, *outputs: int) -> None:
        """Keep outputs (the first by default) for `backward`; they follow the inputs in `saved`."""
        ctx._save_outputs = outputs or (0,)

    @property
    def saved(ctx) -> Sequence[Any]:
        """What `save` and `save_output` kept, None where `saved_for` says nobody needs it.

        Raises RuntimeError once freed, or if a value was modified in place since.
        """
        entries = ctx._saved
        if entries is None:
            raise RuntimeError(FREED)
        recorded = ctx.F.recorded
        if not recorded:
            values = []
            for value, cell, version, _ in entries:
                if (cell is not None and cell[0] != version) or type(value) is Packed:
                    break
                values.append(value)
            else:
                return values
        return unpack(ctx, entries, recorded)

    def __init_subclass__(cls, *, overload: str = "") -> None:
        """Name the class; `overload` names the node of one that is otherwise its base class."""
        if overload:
            cls.torch_name = overload
        else:
            cls.op_name = cls.__name__
        cls.node_name = cls.torch_name or cls.op_name.replace("_", "") + "Backward0"
        cls.__name__ = cls.node_name.rpartition("::")[2]
        # Properties for what users read as `grad_fn._saved_<name>`: a `__getattr__` would slow down
        # every attribute of every node, and with them a chain of small operators by a tenth.
        code = getattr(cls.forward, "__code__", None)
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code else ()
        for name in names:
            setattr(cls, f"_saved_{name}", property(partial(saved_value, name=name)))

    def needs_grad(ctx, i: int) -> bool:
        """Whether the gradient of input `i` is wanted; formulas skip costly ones that are not."""
        return ctx.edges[i] is not None

    def landing(ctx, i: int) -> Any:
        """Array in which `backward` should make the gradient of input `i`, None if there is none.

        It is given out once, its contents are of no meaning, and it need not be used.
        """
        edge = ctx.edges[i]
        if edge is None or type(edge[0]) is not AccumulateGrad or ctx.F.recorded:
            return None
        landing = edge[0].landing
        return None if landing is None else landing.take()

    def constant(ctx, array: Array) -> Any:
        """Make a raw array (a mask, say) an operand of `backward`'s formula; no gradient."""
        if not ctx.F.recorded:
            return array
        own = type(array) is ctx.backend.array_type  # masks of 0-d operands may be scalars
        return Tensor._wrap(array if own else ctx.backend.asarray(array))

    def call(ctx, op: type[Op], *inputs: Any, **params: Any) -> Any:
        """Apply another op inside `backward`, recorded or raw as the sweep is."""
        if ctx.F.recorded:
            return op.apply(*inputs, **params)
        return op.run(ctx.backend, *inputs, **params)

    # ---- machinery --------------------------------------------------------------------------

    @property
    def xp(ctx) -> Any:
        """The NumPy-like namespace of the arrays at hand."""
        return ctx.backend.xp

    @classmethod
    def array_function(cls, backend: Backend) -> Callable[..., Any]:
        """Return the function that `ufunc` names."""
        return getattr(backend.xp, cls.ufunc)

    @classmethod
    def run(cls, backend: Backend, *arrays: Array, **params: Any) -> Any:
        """Compute on raw arrays without recording anything."""
        ctx = _new(cls)
        ctx.backend, ctx.F = backend, backend.F
        return ctx.forward(*arrays, **params)

    @classmethod
    def apply(cls, *inputs: Any, **params: Any) -> Any:  # noqa: PLR0912 - calls cost
        """Compute on Tensors (numbers and None pass through) and record if any requires grad."""
        if len(inputs) == 1 and isinstance(inputs[0], Tensor):
            (x,) = inputs
            array = x._array
            backend = BACKEND_BY_TYPE.get(type(array)) or backend_of(array)
            if x._view is not None:
                x._refresh()
            arrays, requires_grad = [array], x._requires_grad
            if cls.promotes == "float" and array.dtype.kind not in DIFFERENTIABLE_KINDS:
                promote(backend, arrays, "float")
        else:
            backend, arrays, requires_grad = _entered(cls, inputs)
        ctx = _new(cls)
        ctx.backend = backend
        ctx._save_inputs = ctx._save_outputs = ctx._saved = ()
        try:
            if cls.pointwise and _n_elements(arrays) > backend.pieces_from:
                result = pieces.forward(ctx, arrays, params)
            else:
                result = ctx.forward(*arrays, **params)
        except ValueError as error:
            if "broadcast" in str(error) and (message := mismatch(arrays)):
                raise RuntimeError(message) from None
            raise
        # One output is by far the usual case and on the path of every operator.
        if type(result) is not tuple:
            y = _wrapped(backend, result)
            outputs: Any = (y,)
        else:
            outputs = tuple([_wrapped(backend, array) for array in result])
        if cls.view:
            _share_memory(cls, inputs[0], outputs, params, type(result) is tuple)
        if requires_grad and cls.differentiable and STATE.enabled:
            ctx._record(inputs, arrays, outputs)
        elif THREADS:
            for made in outputs:
                if made._view is None:
                    mark(made)
        return outputs if type(result) is tuple else y

    def _record(ctx, inputs: Any, arrays: list[Any], outputs: tuple[Tensor, ...]) -> None:
        """Make this node the history of its outputs."""
        edges: list[Edge | None] = []
        for x in inputs:  # `edge_of`, spelt out: this is on the path of every recorded operator
            if not isinstance(x, Tensor) or not x._requires_grad:
                edges.append(None)
            elif x._grad_fn is not None:
                edges.append((x._grad_fn, x._output_nr))
            else:
                edges.append((x._accumulator or accumulator_of(x), 0))
        ctx.edges = edges
        ctx.hooks = None
        ctx.seq = next_sequence()
        ctx.metas = metas = []
        recorded = False
        for k, y in enumerate(outputs):
            array = y._array
            np_dtype = array.dtype
            metas.append((array.shape, np_dtype))
            if np_dtype.kind in DIFFERENTIABLE_KINDS and k not in ctx.non_differentiable_outputs:
                y._grad_fn, y._requires_grad = ctx, True
                if k:
                    y._output_nr = k
                recorded = True
        if recorded and (ctx._save_inputs or ctx._save_outputs):
            ctx._saved = pack(ctx, inputs, arrays, outputs)
        if anomaly.STATE.enabled:
            ctx.forward_stack = "".join(traceback.format_stack()[:-3])

    def sweep(self, grads: list[Any], functions: Any) -> Any:
        """Run the backward formula on raw arrays or, when `functions` records, on Tensors."""
        self.F = functions
        if len(grads) == 1:
            (g,) = grads
            if self.pointwise and not functions.recorded and g.size >= self.backend.pieces_from:
                return pieces.backward(self, g)
            return self.backward(g)
        if any(g is None for g in grads):
            grads = [
                self._zero_output(k, functions) if g is None else g for k, g in enumerate(grads)
            ]
        return self.backward(*grads)

    def _zero_output(self, k: int, functions: Any) -> Any:
        """Gradient of an output that nobody used."""
        if k in self.non_differentiable_outputs:
            return None
        shape, np_dtype = self.metas[k]
        zeros = self.backend.xp.zeros(shape, np_dtype)
        return Tensor._wrap(zeros) if functions.recorded else zeros

    def release(self) -> None:
        """Drop the saved arrays, if there are any; unpacking them again raises PyTorch's error."""
        if self._saved:
            self._saved = None

    def name(self) -> str:
        """Return PyTorch's name of the backward node: class Add is ``AddBackward0``."""
        return self.node_name


for _name in SAVED_NAMES:
    setattr(Op, f"_saved_{_name}", property(partial(saved_value, name=_name)))


class PointwiseOp(Op):
    """An operator whose output and gradients depend on what is at the same position alone."""

    pointwise = ("forward", "backward")


def _wrapped(backend: Backend, array: Any) -> Tensor:
    """Wrap an output: `Tensor._wrap`, spelt out."""
    if type(array) is not backend.array_type:
        array = backend.asarray(array)  # NumPy turns 0-d results into scalars
    y: Tensor = _new(Tensor)
    y._array = array
    y._cell = [0, 0]
    y._requires_grad = False
    y._grad_fn = y._grad = y._view = y._accumulator = None
    y._output_nr = 0
    return y


def _entered(op: type[Op], inputs: tuple[Any, ...]) -> tuple[Backend, list[Any], bool]:
    """What `apply` works on: backend, arrays and numbers after promotion, if any requires grad."""
    arrays: list[Any] = []
    backend: Backend | None = None
    alike, requires_grad = True, False
    for x in inputs:
        if isinstance(x, Tensor):
            array = x._array
            if backend is None:
                backend = BACKEND_BY_TYPE.get(type(array)) or backend_of(array)
                np_dtype = array.dtype
            else:
                if type(array) is not backend.array_type:
                    _check_device(backend, x, inputs)
                alike = alike and array.dtype is np_dtype
            if x._view is not None:
                x._refresh()
            if x._requires_grad:
                requires_grad = True
            arrays.append(array)
        else:
            alike = False
            arrays.append(x)
    if backend is None:
        raise TypeError(_no_tensor(op, inputs))
    rule = op.promotes
    if rule is not None and not (
        alike and (rule == "same" or np_dtype.kind in DIFFERENTIABLE_KINDS)
    ):
        promote(backend, arrays, rule)
    return backend, arrays, requires_grad


def _n_elements(arrays: list[Any]) -> int:
    """Elements of the first and the last operand together: either may be a number."""
    return getattr(arrays[0], "size", 0) + getattr(arrays[-1], "size", 0)


def _check_device(backend: Backend, x: Tensor, inputs: tuple[Any, ...]) -> None:
    """Raise if `x` is on another device than the first tensor of `inputs`."""
    if not isinstance(x._array, backend.array_type):
        first = next(t for t in inputs if isinstance(t, Tensor))
        refuse_mixed_devices(first.device, x.device)


def _no_tensor(op: type[Op], inputs: tuple[Any, ...]) -> str:
    kinds = ", ".join(type(x).__name__ for x in inputs)
    name = op.op_name.lower()
    if len(inputs) > 1:
        return (
            f"{name}() received an invalid combination of arguments - got ({kinds}), but expected "
            "one of:\n * (Tensor input, Tensor other, *, Tensor out = None)\n * (Tensor input, "
            "Number other, *, Tensor out = None)"
        )
    return f"{name}(): argument 'input' (position 1) must be Tensor, not {kinds}"


def _share_memory(
    op: type, source: Any, outputs: tuple[Tensor, ...], params: Any, several: bool
) -> None:
    """Give outputs that are views of `source`'s memory its version counter and view record."""
    for k, y in enumerate(outputs):
        if not op.may_copy or shares_memory(source._array, y._array):  # type: ignore[attr-defined]
            y._cell = source._cell
            if not STATE.enabled:
                made = {"view": op, "inference": STATE.inference, "k": k if several else None}
                y._view = (source, UnrecordedView, {**made, **params}, source._cell[1])
            elif not several:
                y._view = (source, op, params, source._cell[1])
            else:
                y._view = (source, NthOutput, {"view": op, "k": k, **params}, source._cell[1])


def shares_memory(a: Array, b: Array) -> bool:
    """Whether `b`, made of `a`, is a view of its memory."""
    base = b.base
    if base is not None and (base is a or base is a.base):  # sooner than comparing addresses
        return True
    return not b.size or backend_of(a).shares_memory(a, b)


@dataclass(frozen=True)
class Public:
    """How a function of `ops` is published besides `disttorch.<name>`."""

    method: bool
    inplace: bool
    function: bool
    attribute: bool = False


def public(
    *, method: bool = False, inplace: bool = False, function: bool = True, attribute: bool = False
) -> Callable[[Fn], Fn]:
    """Mark a function of `ops` as public.

    `function`: as ``disttorch.name``; `method`: as ``Tensor.name``; `attribute`: as a property
    ``Tensor.name``; `inplace`: also derive ``name_``, which overwrites its first argument and takes
    over the result's history.
    """

    def mark(f: Fn) -> Fn:
        f.__public__ = Public(method, inplace, function, attribute)  # type: ignore[attr-defined]
        return f

    return mark


__all__ = [
    "Edge",
    "Op",
    "PointwiseOp",
    "Public",
    "public",
    "shares_memory",
]
