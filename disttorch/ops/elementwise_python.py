"""Python functions called on every element: apply_, map_, map2_."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.create import tensor
from disttorch.ops.shape import broadcast_tensors
from disttorch.tensor import Tensor

__all__ = ["apply_", "map2_", "map_"]


def _write(input: Tensor, name: str, others: tuple[Any, ...], function: Callable[..., Any]) -> Any:
    """Overwrite each element by what `function` makes of it and its partners in `others`."""
    if input.requires_grad or any(t.requires_grad for t in others):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )
    if not callable(function):
        raise TypeError(f"'{type(function).__name__}' object is not callable")
    for other in others:
        if other.dtype is not input.dtype:
            raise TypeError(
                f"{name}: expected {input.type()} for argument 'other' (got {other.type()})"
            )
    flat = [t.reshape(-1).tolist() for t in broadcast_tensors(input, *others)]
    made = [function(*values) for values in zip(*flat, strict=True)]
    values = tensor(made, dtype=input.dtype, device=input.device)
    return input.copy_(values.reshape(input.shape))


@public(method=True, function=False)
def apply_(input: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by ``callable(element)``, in place; slow. RuntimeError with grad."""
    return _write(input, "apply_", (), callable)


@public(method=True, function=False)
def map_(input: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by ``callable(element, partner)``, in place; slow."""
    return _write(input, "map_", (tensor,), callable)


@public(method=True, function=False)
def map2_(input: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replace each element by ``callable(element, partner in x, partner in y)``, in place."""
    return _write(input, "map2_", (x, y), callable)
