"""`Variable`: the name that tensors with gradients had before PyTorch 0.4."""

from __future__ import annotations

from typing import Any

from disttorch.tensor import Tensor


class _TensorsAreVariables(type):
    """Makes ``isinstance(t, Variable)`` true for every tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_TensorsAreVariables):
    """``Variable(data, requires_grad)`` is `data` as a leaf that shares its memory."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:  # type: ignore[misc]
        """Return a tensor; TypeError for data that is none."""
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
