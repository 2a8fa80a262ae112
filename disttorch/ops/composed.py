"""Coarse operators: a hand-written first derivative, and a composition for the further ones.

One node for a whole LSTM layer or an attention makes training quick. Nobody wants the second
derivative of such a formula by hand, so with ``create_graph=True`` the operator is spelt out from
others and that graph is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.grad_mode import enable_grad
from disttorch.autograd.gradient import grad
from disttorch.autograd.op import Op
from disttorch.tensor import Tensor


class Composed(Op):
    """An operator that saves all its inputs; subclasses define `gradients` and `composed`."""

    def gradients(ctx, *grads: Any) -> Any:
        """Return the gradients of the inputs from arrays: what `backward` is to other operators."""
        raise NotImplementedError

    def composed(ctx, *inputs: Any) -> Any:
        """Return what `forward` does, from Tensors and by public operators."""
        raise NotImplementedError

    def backward(ctx, *grads: Any) -> Any:
        inputs = ctx.saved
        if not ctx.F.recorded:
            return ctx.gradients(*grads)
        wanted = [edge is not None for edge in ctx.edges]
        return differentiated(ctx.composed, inputs, wanted, grads)


def differentiated(
    function: Callable[..., Any], inputs: Sequence[Any], wanted: Sequence[bool], grads: Any
) -> tuple[Any, ...]:
    """Return the gradients of the `wanted` inputs of a function of Tensors, None for the others.

    They carry a graph, so that they can be differentiated again.
    """
    with enable_grad():
        # An input may have been computed from another: only what goes in here counts.
        entered = [x.reshape(x.shape) if w else x for x, w in zip(inputs, wanted, strict=True)]
        result = function(*entered)
        outputs = result if isinstance(result, tuple) else (result,)
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=False)
            if isinstance(y, Tensor) and y.requires_grad and g is not None
        ]
        targets = [x for x, w in zip(entered, wanted, strict=True) if w]
        roots, seeds = [y for y, _ in pairs], [g for _, g in pairs]
        found = iter(grad(roots, targets, seeds, create_graph=True, allow_unused=True))
    return tuple(next(found) if w else None for w in wanted)
