"""Pointwise operators on large arrays, a piece at a time: in the cache, and in several threads.

A formula such as ``x * (1 + tanh(u))`` makes a temporary array for each operation. On a piece
these stay in the cache; on the whole array each costs a pass through memory. The formulas know
nothing of it: they run on slices, with a context of their own for each piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disttorch.autograd.op import Op
    from disttorch.backends import Backend

Array = Any

_FEWEST = 3  # pieces: of a formula the first one is computed before the others are shared


class _Cut:
    """How arrays that broadcast to `shape` are sliced: as flat memory, or along dimension 0."""

    def __init__(self, backend: Backend, arrays: Sequence[Any], shape: tuple[int, ...]) -> None:
        self.backend, self.shape = backend, shape
        whole = [a for a in arrays if getattr(a, "ndim", 0)]
        self.order = _common_order(whole, shape)
        if self.order is None:
            self.length = shape[0]
            row = max(1, _n_elements(shape) // max(1, self.length))
            self.step = max(1, backend.piece // row)
        else:
            self.length, self.step = _n_elements(shape), backend.piece
        self.n = -(-self.length // self.step)

    def views(self, arrays: Sequence[Any]) -> list[Any]:
        """What `part` slices: flat views of the arrays where there are any."""
        return [self._flat(a) if getattr(a, "ndim", 0) else a for a in arrays]

    def _flat(self, array: Array) -> Array:
        if self.order is None:
            return array
        return array.transpose(self.order).reshape(-1)

    def part(self, views: Sequence[Any], i: int) -> list[Any]:
        """Piece `i` of each of `views`; what is broadcast along the cut stays whole."""
        start = i * self.step
        stop = min(start + self.step, self.length)
        dims = 1 if self.order is not None else len(self.shape)
        return [
            v[start:stop] if getattr(v, "ndim", 0) == dims and v.shape[0] == self.length else v
            for v in views
        ]

    def piece_shape(self, i: int) -> tuple[int, ...]:
        """Shape of a result on piece `i`."""
        n = min(self.step, self.length - i * self.step)
        return (n,) if self.order is not None else (n, *self.shape[1:])

    def empty(self, np_dtype: Any) -> tuple[Array, Array]:
        """A new array, laid out as the arrays are, and its view for `part`."""
        if self.order is None:
            y = self.backend.xp.empty(self.shape, np_dtype)
            return y, y
        memory = self.backend.xp.empty([self.shape[d] for d in self.order], np_dtype)
        if self.order == tuple(range(len(self.order))):
            return memory, memory.reshape(-1)  # not a view, which a leaf's gradient must not be
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return memory.transpose(back), memory.reshape(-1)


def _n_elements(shape: Sequence[int]) -> int:
    n = 1
    for k in shape:
        n *= k
    return n


def _common_order(arrays: Sequence[Array], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Dimensions from the slowest to the fastest, if all arrays have `shape` and that layout."""
    if any(a.shape != shape for a in arrays):
        return None
    if all(a.flags.c_contiguous for a in arrays):
        return tuple(range(len(shape)))
    strides = arrays[0].strides
    order = tuple(sorted(range(len(shape)), key=lambda d: -strides[d]))
    return order if all(a.transpose(order).flags.c_contiguous for a in arrays) else None


def _broadcast_shape(arrays: Sequence[Any]) -> tuple[int, ...]:
    """The shape of the largest array; others that do not fit make the formula raise."""
    largest = max((a for a in arrays if hasattr(a, "ndim")), key=lambda a: (a.size, a.ndim))
    shape: tuple[int, ...] = largest.shape
    return shape


def _keeps_arrays(notes: dict[str, Any]) -> bool:
    """Whether a formula noted arrays on its context, which nobody would put together."""
    return any(getattr(value, "ndim", 0) for value in notes.values())


def _worthwhile(op: type[Op], way: str, backend: Backend, n: int) -> bool:
    """Whether threads gain anything by sharing `n` elements."""
    least = backend.pieces_from if way in op.heavy else backend.light_pieces_from
    return n >= least and backend.n_threads() > 1


def _ufunc(op: type[Op], backend: Backend) -> Any:
    """The array library's function that is the operator and takes `out`, or None."""
    found = getattr(backend.xp, op.ufunc, None) if op.ufunc else None
    return found if hasattr(found, "nin") else None


def forward(ctx: Op, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """Run ``ctx.forward(*arrays, **params)``, by a kernel or in pieces if that gains something."""
    backend, shape, op = ctx.backend, _broadcast_shape(arrays), type(ctx)
    if "forward" not in op.pointwise or not shape:
        return ctx.forward(*arrays, **params)
    kernel = backend.forward_kernel(op.op_name, arrays, params)
    if kernel is None and not _worthwhile(op, "forward", backend, _n_elements(shape)):
        return ctx.forward(*arrays, **params)
    cut = _Cut(backend, arrays, shape)
    views = cut.views(arrays)
    if kernel is not None and cut.order is not None:
        # The formula itself, on one element, notes on the context what backward will want.
        first = ctx.forward(*[v[:1] if getattr(v, "ndim", 0) else v for v in views], **params)
        y, target = cut.empty(first.dtype)
        kernel(views, target)
        return y
    if cut.n < _FEWEST:
        return ctx.forward(*arrays, **params)
    ufunc = _ufunc(op, backend)
    if ufunc is not None and cut.order is not None:
        first = ctx.forward(*[v[:1] if getattr(v, "ndim", 0) else v for v in views], **params)
        y, target = cut.empty(first.dtype)
        backend.run_pieces(
            lambda i: ufunc(*cut.part(views, i), out=cut.part([target], i)[0]), cut.n
        )
        return y
    first = ctx.forward(*cut.part(views, 0), **params)
    if getattr(first, "shape", None) != cut.piece_shape(0) or _keeps_arrays(ctx.__dict__):
        ctx.__dict__.clear()
        return ctx.forward(*arrays, **params)
    y, target = cut.empty(first.dtype)
    cut.part([target], 0)[0][...] = first

    def work(i: int) -> None:
        (out,) = cut.part([target], i + 1)
        if ufunc is not None:
            ufunc(*cut.part(views, i + 1), out=out)
        else:
            out[...] = op.run(backend, *cut.part(views, i + 1), **params)

    backend.run_pieces(work, cut.n - 1)
    return y


def by_kernel(node: Op, g: Array, saved: Sequence[Any]) -> Array | None:
    """The gradient of the first input by a kernel, if there is one and no other is wanted."""
    backend, (first, *others) = node.backend, node.edges
    if first is None or any(edge is not None for edge in others):
        return None
    arrays = [g, *saved]
    cut = _Cut(backend, arrays, _broadcast_shape(arrays))
    if cut.order is None:
        return None
    kernel = backend.backward_kernel(node.op_name, g, saved, node.__dict__)
    if kernel is None:
        return None
    gx, target = cut.empty(g.dtype)
    kernel(cut.views(arrays), target)
    return gx


def backward(node: Op, g: Array) -> Any:
    """Run ``node.backward(g)`` on arrays, in pieces if that gains something."""
    if "backward" not in node.pointwise or not g.ndim or _keeps_arrays(node.__dict__):
        return node.backward(g)
    saved, backend = node.saved, node.backend
    arrays = [g, *saved]
    if _broadcast_shape(arrays) != g.shape:
        return node.backward(g)
    gx = by_kernel(node, g, saved)
    if gx is not None:
        return gx
    cut = _Cut(backend, arrays, g.shape)
    views, kind = cut.views(arrays), type(node)
    if cut.n < _FEWEST or not _worthwhile(kind, "backward", backend, g.size):
        return node.backward(g)

    def compute(i: int) -> Any:
        ctx = object.__new__(kind)
        ctx.__dict__.update(node.__dict__)
        ctx.backend, ctx.F, ctx.edges, ctx.metas = backend, node.F, node.edges, node.metas
        part = cut.part(views, i)
        ctx._saved = [(value, None, 0, None) for value in part[1:]]
        return ctx.backward(part[0])

    first = compute(0)
    several = type(first) is tuple
    results = first if several else (first,)
    if any(r is not None and getattr(r, "shape", None) != cut.piece_shape(0) for r in results):
        return node.backward(g)
    whole = [None if r is None else cut.empty(r.dtype) for r in results]

    def store(i: int, results: Sequence[Array]) -> None:
        for pair, result in zip(whole, results, strict=True):
            if pair is not None:
                cut.part([pair[1]], i)[0][...] = result

    store(0, results)

    def work(i: int) -> None:
        results = compute(i + 1)
        store(i + 1, results if several else (results,))

    backend.run_pieces(work, cut.n - 1)
    gradients = tuple(None if pair is None else pair[0] for pair in whole)
    return gradients if several else gradients[0]
