"""Python's operators on Tensors: a table from special method names to functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from disttorch.autograd.inplace import inplace_variant
from disttorch.autograd.op import Op
from disttorch.autograd.quick import quick_inplace, quick_or
from disttorch.ops import arithmetic, bitwise, compare, pointwise_round
from disttorch.ops.arithmetic_division import floor_divide, remainder
from disttorch.ops.matmul import MatMul, __matmul__
from disttorch.tensor import Tensor

Binary = Callable[[Any, Any], Any]

_OPERAND = (Tensor, int, float, complex)


def _operand(self: Tensor, other: Any) -> Any:
    """`other` as an operator takes it: NumPy's arrays as tensors; NotImplemented if foreign."""
    if isinstance(other, _OPERAND):
        return other
    if not hasattr(other, "__array__") or not hasattr(other, "ndim"):
        return NotImplemented
    return Tensor._wrap(self.backend.asarray(other)) if other.ndim else other.item()


def _binary(function: Binary) -> Binary:
    """``x op y``; NotImplemented for foreign operands, so that Python asks the other side."""

    @functools.wraps(function)
    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, Tensor):
            other = _operand(self, other)
            if other is NotImplemented:
                return NotImplemented
        return function(self, other)

    return operator


def _reflected(function: Binary, name: str) -> Binary:
    """The method `name`, ``y op x`` for a `y` that is no Tensor.

    It raises what PyTorch does if `x`, on which it is called, is none either.
    """

    @functools.wraps(function)
    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(self, Tensor):
            raise _foreign(name, self)
        other = _operand(self, other)
        return other if other is NotImplemented else function(other, self)

    return operator


def _foreign(name: str, value: Any) -> Exception:
    kind = type(value).__name__
    if name in _DIVISIONS:  # written in Python there
        return AttributeError(f"'{kind}' object has no attribute 'reciprocal'")
    return TypeError(
        f"descriptor '{name}' for 'torch._C.TensorBase' objects doesn't apply to a '{kind}' object"
    )


_DIVISIONS = ("__rdiv__", "__rtruediv__")

_ARITHMETIC: dict[str, Binary] = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "floordiv": floor_divide,
    "mod": remainder,
    "pow": arithmetic.pow,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lshift": bitwise.bitwise_left_shift,
    "rshift": bitwise.bitwise_right_shift,
}

_COMPARISONS: dict[str, Binary] = {
    "eq": compare.eq,
    "ne": compare.ne,
    "lt": compare.lt,
    "le": compare.le,
    "gt": compare.gt,
    "ge": compare.ge,
}

# Operators that are one function of the array library go straight to it where they can: every call
# of a Python function counts on the path of a small operation.
_QUICK: dict[str, type[Op]] = {
    **{"add": arithmetic.Add, "sub": arithmetic.Sub, "mul": arithmetic.Mul},
    **{"truediv": arithmetic.Div, "and": bitwise.BITWISE["bitwise_and"]},
    **{"or": bitwise.BITWISE["bitwise_or"], "xor": bitwise.BITWISE["bitwise_xor"]},
    **compare.COMPARISONS,
}


def _forward(name: str, function: Binary) -> Binary:
    return quick_or(_QUICK[name], _binary(function)) if name in _QUICK else _binary(function)


def inplace_form(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return ``name_`` for a public operator, the short one where there is one."""
    op = _INPLACE.get(function)
    return inplace_variant(function) if op is None else quick_inplace(op, function)


_INPLACE: dict[Callable[..., Tensor], type[Op]] = {
    **{arithmetic.add: arithmetic.Add, arithmetic.sub: arithmetic.Sub},
    **{arithmetic.mul: arithmetic.Mul, arithmetic.div: arithmetic.Div},
}

OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": _forward(name, f) for name, f in {**_ARITHMETIC, **_COMPARISONS}.items()},
    **{f"__r{name}__": _reflected(f, f"__r{name}__") for name, f in _ARITHMETIC.items()},
    "__rdiv__": _reflected(arithmetic.Div.apply, "__rdiv__"),
    **{f"__i{name}__": _binary(inplace_form(f)) for name, f in _ARITHMETIC.items()},
    "__matmul__": quick_or(MatMul, __matmul__),
    "__neg__": arithmetic.neg,
    "__pos__": arithmetic.positive,
    "__abs__": pointwise_round.abs,
    "__invert__": bitwise.invert,
}
