"""`Variable`: the name that tensors with gradients had before PyTorch 0.4."""

from __future__ import annotations

import warnings
from typing import Any

from disttorch.autograd.tensor_methods import VOLATILE_IS_GONE
from disttorch.tensor import Tensor


class _TensorsAreVariables(type):
    """Makes ``isinstance(t, Variable)`` true for every tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_TensorsAreVariables):
    """``Variable(data, requires_grad)`` is `data` as a leaf that shares its memory."""

    def __new__(  # type: ignore[misc]
        cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool = False
    ) -> Tensor:
        """Return a tensor; `volatile` is what `no_grad` is now, and only warns.

        Raises TypeError for data that is no tensor, RuntimeError for integers that shall require
        grad, ValueError if both flags are set.
        """
        if volatile:
            warnings.warn(VOLATILE_IS_GONE, stacklevel=2)
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if data is None:
            return Tensor(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        return data.detach().requires_grad_(requires_grad)
