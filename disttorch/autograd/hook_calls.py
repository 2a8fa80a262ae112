"""How a sweep calls hooks, and what they may return in place of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from disttorch.autograd.node import Hooks
from disttorch.tensor import Tensor

if TYPE_CHECKING:
    from disttorch.autograd.engine import _RawGrads as Mode


def run_pre_hooks(hooks: Hooks, grads: list[Any], mode: Mode) -> None:
    """Run tensor hooks, node pre-hooks and `retain_grad`, in PyTorch's order; edits `grads`."""
    for k, on_output in hooks.on_output.items():
        for hook in list(on_output.values()):
            if grads[k] is not None:
                shown = mode.show(grads[k])
                result = hook(shown)
                if result is not None:
                    grads[k] = mode.enter(_replacement(hook, result, shown))
    for hook in list(hooks.before.values()):
        shown_all = mode.show_all(grads)
        replaced = hook(shown_all)
        if replaced is not None:
            grads[:] = _replacements(hook, replaced, shown_all, mode)
    for k, reference in hooks.retained.items():
        tensor = reference()
        if tensor is not None and grads[k] is not None:
            # A copy: other tensors' gradients may share the memory of this one.
            if tensor._grad is not None:
                total = grads[k] + (tensor._grad if mode.recorded else tensor._grad._array)
            else:
                total = grads[k].clone() if mode.recorded else grads[k].copy()
            tensor._grad = mode.show(total)


def run_post_hooks(hooks: Hooks, results: Any, grads: Sequence[Any], mode: Mode) -> Any:
    """Show input and output gradients to the node's hooks; they may replace the former."""
    results = results if type(results) is tuple else (results,)
    outputs = mode.show_all(grads)
    for hook in list(hooks.after.values()):
        shown = mode.show_all(results)
        replaced = hook(shown, outputs)
        if replaced is not None:
            results = tuple(_replacements(hook, replaced, shown, mode))
    return results


def _replacements(hook: Any, results: Any, grads: Sequence[Tensor | None], mode: Mode) -> list[Any]:
    """What a node's hook returned for several gradients, checked."""
    if not isinstance(results, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(results).__name__}'")
    if len(results) != len(grads):
        raise RuntimeError(
            f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(results)}, "
            f"but expected {len(grads)})"
        )
    entered = []
    for result, grad in zip(results, grads, strict=True):
        if result is not None and grad is None:
            raise RuntimeError("can't replace a None gradient with a non-None value")
        entered.append(None if result is None else mode.enter(_replacement(hook, result, grad)))
    return entered


def _replacement(hook: Any, result: Any, grad: Any) -> Tensor:
    """What a hook returned for one gradient; PyTorch's errors unless it can stand for it."""
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    if result._array.dtype != grad._array.dtype:
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the type of value (was {grad.type()} got "
            f"{result.type()})"
        )
    if result._array.shape != grad._array.shape:
        raise RuntimeError(f"hook '{_name(hook)}' has changed the size of value")
    return result


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", "<unknown>")
