"""Optimiser steps that autograd records: the formulas of the fast path, on Tensors.

The `update` of an elementwise optimiser writes its results into blocks it was given. Here a block
is a `Variable`, a name for a Tensor: writing gives the name a new Tensor, nothing is overwritten,
so that everything a formula read is still there for its derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import disttorch
from disttorch.tensor import Tensor


class Variable:
    """A block that is written by giving it another Tensor."""

    __slots__ = ("value",)

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def __setitem__(self, key: Any, new: Any) -> None:
        if isinstance(key, Tensor):
            self.value = self.value.masked_fill(key, new)
        else:
            # Plain assignment keeps values, as PyTorch's first momentum buffer does; `copyto`
            # records.
            self.value = new.value.detach()

    def fill(self, number: float) -> None:
        """Make every element this number."""
        self.value = disttorch.full_like(self.value, number)

    def __lt__(self, other: float) -> Tensor:
        return self.value < other

    def __gt__(self, other: float) -> Tensor:
        return self.value > other


def _tensor(x: Any) -> Any:
    return x.value if isinstance(x, Variable) else x


def _writes(function: Callable[..., Tensor]) -> Callable[..., Variable]:
    """The function with NumPy's `out`, which is given the result."""

    def run(*operands: Any, out: Variable) -> Variable:
        out.value = function(*map(_tensor, operands))
        return out

    return run


class RecordedArrays:
    """The part of NumPy's namespace that updates use."""

    add = staticmethod(_writes(lambda x, y: x + y))
    subtract = staticmethod(_writes(lambda x, y: x - y))
    multiply = staticmethod(_writes(lambda x, y: x * y))
    divide = staticmethod(_writes(lambda x, y: x / y))
    negative = staticmethod(_writes(lambda x: -x))
    abs = staticmethod(_writes(lambda x: x.abs()))
    sign = staticmethod(_writes(lambda x: x.sign()))
    sqrt = staticmethod(_writes(lambda x: x.sqrt()))
    clip = staticmethod(_writes(lambda x, low, high: x.clamp(low, high)))
    maximum = staticmethod(_writes(disttorch.maximum))

    @staticmethod
    def copyto(out: Variable, source: Variable) -> None:
        """Write `source`, gradients included."""
        out.value = source.value


class RecordedBackend:
    """The part of a backend that updates use."""

    xp = RecordedArrays

    @staticmethod
    def axpby(a: Any, x: Variable, b: Any, y: Variable, scratch: Variable) -> None:
        """Do ``y = a * x + b * y``."""
        y.value = x.value * a + y.value * b


def _real(t: Tensor) -> Tensor:
    return disttorch.view_as_real(t) if t.is_complex() else t


def step_recorded(
    update: Callable[..., None],
    prepare: Callable[..., Any] | None,
    param: Tensor,
    slots: list[Tensor],
    coefficients: Any,
) -> None:
    """Do one step of a parameter and its state so that gradients flow through it."""
    assert param.grad is not None
    before = [param.clone(), param.grad, *(slot.clone() for slot in slots)]
    p, g, *state = [Variable(_real(t)) for t in before]
    scratch = [Variable(disttorch.zeros_like(p.value)) for _ in range(3)]
    if prepare is not None:
        g = prepare(RecordedArrays, p, g, scratch[-1])
    update(RecordedBackend, p, g, state, scratch, coefficients)
    for tensor, new in zip((param, *slots), (p, *state), strict=True):
        complete = disttorch.view_as_complex(new.value) if tensor.is_complex() else new.value
        tensor.copy_(complete)
