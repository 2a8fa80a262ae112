"""Python's operators on Tensors: a table from special method names to functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import inplace_variant
from disttorch.ops import arithmetic
from disttorch.tensor import Tensor

_OPERAND = (Tensor, int, float, complex)


def _binary(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Any]:
    """``x op y``; NotImplemented for foreign operands, so that Python asks the other side."""

    def operator(self: Tensor, other: Any) -> Any:
        if isinstance(other, _OPERAND) or _is_number(other):
            return function(self, other)
        return NotImplemented

    return operator


def _reflected(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Any]:
    """``y op x`` for a `y` that is no Tensor."""

    def operator(self: Tensor, other: Any) -> Any:
        if isinstance(other, _OPERAND) or _is_number(other):
            return function(other, self)
        return NotImplemented

    return operator


def _is_number(x: Any) -> bool:
    """Whether `x` is a NumPy scalar or array, which operators accept beside Tensors."""
    return hasattr(x, "__array__")


_ARITHMETIC = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "pow": arithmetic.pow,
}

OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": _binary(f) for name, f in _ARITHMETIC.items()},
    **{f"__r{name}__": _reflected(f) for name, f in _ARITHMETIC.items()},
    **{f"__i{name}__": inplace_variant(f) for name, f in _ARITHMETIC.items()},
    "__neg__": arithmetic.neg,
}
