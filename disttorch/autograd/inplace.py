"""In-place operators: the ordinary operator, then `overwrite`.

An in-place operator computes its result out of place and then writes it over the tensor, which
takes over the result's history. For a view the history of its base is rewritten: the base becomes
"the old base with this region replaced" (`ReplaceRegion`), and every view of it rebuilds its own
history from there when it is next asked (`Tensor._refresh`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from sys import getrefcount
from typing import Any

from disttorch.autograd.grad_mode import STATE
from disttorch.autograd.node import Node, next_sequence
from disttorch.autograd.op import Op
from disttorch.autograd.saved import keep_overwritten
from disttorch.autograd.views import NthOutput, UnrecordedView, ambiguous_write, one_of_several
from disttorch.backends import backend_of
from disttorch.dtype import TYPE_NAMES, can_cast
from disttorch.inference import refuse_write
from disttorch.tensor import Tensor

Array = Any
OVERLAP = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
    "single memory location. Please clone() the tensor before performing the operation."
)
Steps = tuple[tuple[type, dict[str, Any]], ...]  # view ops that lead from a base to a view


def check_writable(tensor: Tensor, expanded: bool = False) -> None:
    """Raise PyTorch's error if `tensor` must not be written in place (a leaf, an expanded one).

    `expanded` True allows elements that share memory: for writes of one number to all of them.
    """
    if type(tensor._cell) is not list:
        refuse_write(tensor._cell)
    if STATE.enabled and tensor.requires_grad:
        base = None
        if tensor._view is not None:
            _refuse_ambiguous_view(tensor)
            base = tensor._base
        if base is not None and base._grad_fn is None:
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
        if tensor.grad_fn is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
    if not expanded:
        refuse_expanded(tensor._array)


def refuse_expanded(array: Array) -> None:
    """Raise PyTorch's error for writing to an array of which elements share memory."""
    if (
        array.size
        and 0 in array.strides
        and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )


def refuse_shared(target: Tensor, sources: Iterable[Any]) -> None:
    """Raise PyTorch's error if one of `sources` is in the memory of `target`.

    For operators that write elements in an order of their own.
    """
    for x in sources:
        if isinstance(x, Tensor) and x._cell is target._cell and x._array.ndim:
            refuse_overlap(target._array, x._array, whole=True)


def refuse_overlap(target: Array, source: Array, whole: bool = False) -> None:
    """Raise PyTorch's error for reading, while `target` is written, memory that it shares in part.

    `whole`: all of it as well. Only arrays without holes are compared, as PyTorch does.
    """
    if not target.size or not source.size or not (_is_dense(target) and _is_dense(source)):
        return
    backend = backend_of(target)
    start, other = backend.data_ptr(target), backend.data_ptr(source)
    same = start == other and target.nbytes == source.nbytes and _steps(target) == _steps(source)
    if same and not whole:
        return
    if start < other + source.nbytes and other < start + target.nbytes:
        raise RuntimeError(OVERLAP)


def _steps(array: Array) -> list[tuple[int, int]]:
    """Size and stride of the dimensions that are walked: a value may lack leading ones."""
    return [(n, step) for n, step in zip(array.shape, array.strides, strict=True) if n != 1]


def _is_dense(array: Array) -> bool:
    """Whether the elements fill a range of memory, each a place of its own."""
    if array.flags.c_contiguous:
        return True
    return bool(array.transpose(memory_order_of(array)).flags.c_contiguous)


def overwrite(
    target: Tensor,
    result: Tensor,
    expanded: bool = False,
    since: int | None = None,
    given: Iterable[Any] = (),
) -> Tensor:
    """Write `result` over `target` in place and give `target` its history; return `target`.

    `expanded`: see `check_writable`. `since`: the nodes with a higher number are those of the
    operator, which may be made of several; without it the result's own is the only one. `given`:
    the operator's other arguments. Raises RuntimeError, with PyTorch's texts, if the shape or dtype
    of the result does not fit or `target` must not be written.
    """
    check_writable(target, expanded)
    if result._array.shape != target._array.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )
    if not can_cast(result.dtype, target.dtype):
        raise RuntimeError(
            f"result type {TYPE_NAMES[result.dtype]} can't be cast to the desired output type "
            f"{TYPE_NAMES[target.dtype]}"
        )
    recorded = STATE.enabled and (result._requires_grad or target._requires_grad)
    if recorded:
        _refuse_ambiguous_view(target)
    array = target._array
    if result._grad_fn is not None:
        _keep_saved(result._grad_fn, target, since, given)
    if result._array is not array:
        array[...] = result._array
    target._cell[0] += 1
    if recorded:
        take_history(target, result)
    return target


def _keep_saved(newest: Node, target: Tensor, since: int | None, given: Iterable[Any]) -> None:
    """Copy what the nodes of the operator saved of `target`, before it is overwritten."""
    others = [x._array for x in given if isinstance(x, Tensor)]
    nodes, seen = [newest], {newest}
    while nodes:
        node = nodes.pop()
        if isinstance(node, Op) and node._saved:
            keep_overwritten(node._saved, target, others)
        for edge in node.edges if since is not None else ():
            if edge is not None and edge[0].seq > since and edge[0] not in seen:
                seen.add(edge[0])
                nodes.append(edge[0])


def _refuse_ambiguous_view(target: Tensor) -> None:
    """Raise PyTorch's error for a view whose history could not be told after a write.

    That is: one that is, or is seen through, one of several outputs or a view made unrecorded.
    """
    view: Tensor | None = target
    while view is not None and view._view is not None:
        _, op, params, _ = view._view
        if op is UnrecordedView:
            if _hides_its_base(view):
                view._view = None
                return
            node = None
            if view is not target and target._grad_fn is not None:
                node = target._grad_fn.name().removesuffix("Backward0")
            raise RuntimeError(ambiguous_write(node, params["inference"]))
        if op is NthOutput:
            raise RuntimeError(one_of_several(params["view"], params["k"], "is being"))
        view = view._view[0]


# References to a base as `_hides_its_base` sees it: the view's record, and getrefcount's own.
_UNSEEN = 2


def _hides_its_base(view: Tensor) -> bool:
    """Whether only `view` can see its bases: what an operator made on the way to its result."""
    link = view
    while link._view is not None:
        if getrefcount(link._view[0]) > _UNSEEN:
            return False
        link = link._view[0]
    return True


def take_history(target: Tensor, result: Tensor) -> None:
    """Make `result`'s history that of `target`, or of the base it is a view of."""
    base = target._base
    if base is None:
        if not result._requires_grad:
            result = _without_influence(target)
        _move_retained(target, result)
        target._grad_fn, target._output_nr = result._grad_fn, result._output_nr
        target._requires_grad = result._requires_grad
        target._cell[1] += 1
        if result._grad_fn is not None:
            target._cell[2:] = [result._grad_fn.name()]  # for errors about saved tensors
        return
    node = ReplaceRegion(base.backend)
    node.steps = _steps_from(base, target)
    node.order = memory_order_of(base._array)
    node._record((base, result), [base._array, result._array], (base,))
    base._cell[1] += 1
    base._cell[2:] = [ReplaceRegion.torch_name]
    target._refresh()


def _without_influence(target: Tensor) -> Tensor:
    """The new values of `target`, on which nothing that requires grad had influence."""
    node = Overwritten(target.backend)
    made = Tensor._wrap(target._array)
    node._record((target,), [target._array], (made,))
    return made


def _move_retained(target: Tensor, result: Tensor) -> None:
    """Let a tensor that keeps its gradient keep it where its history will end from now on."""
    hooks = None if target._grad_fn is None else target._grad_fn.hooks
    reference = None if hooks is None else hooks.retained.get(target._output_nr)
    if reference is not None and reference() is target and result._grad_fn is not None:
        del hooks.retained[target._output_nr]  # type: ignore[union-attr]
        result._grad_fn.hooked().retained[result._output_nr] = reference


def _steps_from(base: Tensor, view: Tensor) -> Steps:
    """The view ops between a base and one of its views, outermost first."""
    steps: list[tuple[type, dict[str, Any]]] = []
    while view is not base:
        assert view._view is not None
        parent, op, params, _ = view._view
        steps.append((op, params))
        view = parent
    return tuple(reversed(steps))


class Overwritten(Op):
    """History of a tensor whose new values have none: the old ones get zeros as their gradient.

    Never applied forward: the values are in place already.
    """

    torch_name = "CopyBackwards"

    def backward(ctx, g: Any) -> Any:
        """Nothing of the old values is left."""
        return ctx.F.zeros_like(g)


class ReplaceRegion(Op):
    """History of a base after one of its views was overwritten: (old base, new region) -> base.

    Never applied forward: the values are in place already.
    """

    torch_name = "torch::autograd::CopySlices"
    steps: Steps
    order: tuple[int, ...]

    def backward(ctx, g: Any) -> Any:
        """The old base gets the gradient outside the region, the new region what is inside."""
        outside = ctx.call(ZeroRegion, g, steps=ctx.steps, order=ctx.order)
        inside = g
        for op, params in ctx.steps:
            inside = ctx.call(op, inside, **params)
        return outside, inside


class ZeroRegion(Op):
    """A copy of `x` with the region that the view ops `steps` lead to set to zero.

    The copy's dimensions lie in memory in the order of the base's (`order`, outermost first), so
    that what was a view of the base is a view here.
    """

    def forward(ctx, x: Array, steps: Steps, order: tuple[int, ...]) -> Array:
        """Copy, follow the view ops, write zeros."""
        ctx.steps, ctx.order = steps, order
        inverse = sorted(range(len(order)), key=order.__getitem__)
        # NumPy makes scalars, which have no memory to write to, of arrays without dimensions.
        out = ctx.backend.asarray(x).transpose(order).copy(order="C").transpose(inverse)
        region = out
        for op, params in steps:
            region = op.run(ctx.backend, region, **params)
        region[...] = 0
        return out

    def backward(ctx, g: Any) -> Any:
        """The region contributes nothing."""
        return ctx.call(ZeroRegion, g, steps=ctx.steps, order=ctx.order)


def memory_order_of(array: Array) -> tuple[int, ...]:
    """Dimensions of an array from outermost to innermost in memory."""
    return tuple(sorted(range(array.ndim), key=lambda d: -array.strides[d]))


def inplace_variant(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return ``name_`` for the public operator ``name``: overwrites its first argument."""

    @functools.wraps(function)
    def write(self: Tensor, *args: Any, **keywords: Any) -> Tensor:
        check_writable(self)
        for x in args:
            if isinstance(x, Tensor) and x._cell is self._cell and x is not self:
                refuse_overlap(self._array, x._array)
        since = next_sequence()
        result = function(self, *args, **keywords)
        return overwrite(self, result, since=since, given=(*args, *keywords.values()))

    write.__name__ = function.__name__ + "_"
    write.__qualname__ = write.__name__
    write.__doc__ = f"In-place version of `{function.__name__}`."
    return write


__all__ = [
    "OVERLAP",
    "check_writable",
    "inplace_variant",
    "overwrite",
    "refuse_expanded",
    "refuse_overlap",
    "refuse_shared",
]
