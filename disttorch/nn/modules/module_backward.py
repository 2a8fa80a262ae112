"""Full backward hooks of modules: identity nodes around a call that see its gradients.

The tensors that enter the call pass through one `_Boundary` node and those that leave it through
another. When a backward sweep runs the outer one, the gradients of the module's outputs are known
(pre-hooks); when it runs the inner one, those of its inputs are (hooks).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from disttorch.autograd.function import Function
from disttorch.autograd.grad_mode import is_grad_enabled
from disttorch.autograd.node import Node
from disttorch.tensor import Tensor

Hook = Callable[..., Any]
Grads = tuple[Any, ...]

_NO_INPUT_GRADIENTS = (
    "Full backward hook is firing when gradients are computed with respect to module outputs since "
    "no inputs require gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module."
    "html#torch.nn.Module.register_full_backward_hook for more details."
)


class _Boundary(Function):
    """Identity on any number of tensors, one node for all of them."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Grads:
        """Hand the tensors on."""
        plain = [t for t in tensors if not t.requires_grad]
        ctx.mark_non_differentiable(*plain)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Grads:
        """Hand the gradients back."""
        return grads


def _through_boundary(values: Sequence[Any]) -> tuple[Sequence[Any], list[int] | None, Node | None]:
    """Pass the tensors among `values` through a boundary.

    Returns the new values, the places of the tensors, and the node; (values, None, None) where
    nothing is recorded.
    """
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not is_grad_enabled() or not any(values[i].requires_grad for i in places):
        return values, None, None
    passed = _Boundary.apply(*(values[i] for i in places))
    node = next(t.grad_fn for t in passed if t.requires_grad)
    renewed = list(values)
    for i, tensor in zip(places, passed, strict=True):
        renewed[i] = tensor
    same_type = tuple(renewed) if type(values) is tuple else type(values)(*renewed)
    return same_type, places, node


def _spread(places: Sequence[int], grads: Sequence[Any], n: int) -> Grads:
    """Put gradients of tensors at their places among `n` arguments, None elsewhere."""
    spread: list[Any] = [None] * n
    for i, grad in zip(places, grads, strict=True):
        spread[i] = grad
    return tuple(spread)


class BackwardHooks:
    """The full backward hooks and pre-hooks of one call of one module."""

    def __init__(self, module: Any, hooks: Sequence[Hook], pre_hooks: Sequence[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.n_inputs = 0
        self.input_places: list[int] | None = None
        self.grad_outputs: Grads | None = None

    def enter(self, args: Grads) -> Grads:
        """Mark the call's arguments; return those to call with."""
        passed, self.input_places, node = _through_boundary(args)
        self.n_inputs = len(args)
        if node is not None:
            node.register_hook(self._on_inputs)
        return passed  # type: ignore[return-value]

    def leave(self, result: Any) -> Any:
        """Mark the call's result; return the one to hand out."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=4,
            )
        outputs = result if isinstance(result, tuple) else (result,)
        passed, places, node = _through_boundary(outputs)
        if node is not None and places is not None:
            n = len(outputs)
            node.register_hook(lambda _, grads: self._on_outputs(places, grads, n))
        return passed if isinstance(result, tuple) else passed[0]

    def _on_outputs(self, places: list[int], grads: Sequence[Any], n: int) -> Grads:
        """The sweep has the gradients of the outputs: run pre-hooks, which may replace them."""
        current = _spread(places, grads, n)
        for hook in self.pre_hooks:
            replaced = hook(self.module, current)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != n:
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(replaced)}, but expected {n}"
                )
            current = replaced
        self.grad_outputs = current
        if self.input_places is None:
            self._without_inputs(current)
        return tuple(current[i] for i in places)

    def _without_inputs(self, grad_outputs: Grads) -> None:
        """No input requires grad, so no later moment will come: run the hooks now."""
        warnings.warn(_NO_INPUT_GRADIENTS, stacklevel=5)
        for hook in self.hooks:
            out = hook(self.module, (None,) * self.n_inputs, grad_outputs)
            if out is not None and not (isinstance(out, tuple) and all(g is None for g in out)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _on_inputs(self, grads: Sequence[Any], _: Any) -> Grads | None:
        """The sweep has the gradients of the inputs: run hooks, which may replace them."""
        if self.grad_outputs is None:  # the sweep came here without passing the outputs
            return None
        assert self.input_places is not None
        current = _spread(self.input_places, grads, self.n_inputs)
        for hook in self.hooks:
            replaced = hook(self.module, current, self.grad_outputs)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(current):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(replaced)}, but expected {len(current)}"
                )
            current = replaced
        self.grad_outputs = None
        return tuple(current[i] for i in self.input_places)
