"""Bring an op's operands to their common dtype before `forward` sees them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from disttorch.backends import Backend
from disttorch.dtype import (
    Category,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    promote_operands,
    scalar_dtype,
)


def promote(backend: Backend, arrays: list[Any], rule: str) -> None:
    """Cast `arrays` in place to the dtype PyTorch would compute in.

    `rule` is "same" (common dtype) or "float" (integers and bools become the default floating
    dtype). Numbers stay numbers, except that one of a higher category than the arrays (a float
    beside ints) raises the arrays to it; NumPy then treats the number as weakly typed.
    """
    if len(arrays) == 1:
        if rule == "same" or arrays[0].dtype.kind in "fcV":
            return
    elif (
        len(arrays) == 2
        and _agree(backend, *arrays)
        and (rule == "same" or "f" in (_kind(arrays[0]), _kind(arrays[1])))
    ):
        return
    elif _only_weak(backend, arrays):
        return
    target = operand_dtype(backend, arrays)
    if rule == "float" and target.category < Category.FLOATING:
        target = get_default_dtype()
    np_dtype = target.np
    for i, array in enumerate(arrays):
        if isinstance(array, backend.array_type):
            if array.dtype != np_dtype:
                arrays[i] = array.astype(np_dtype)
        elif array is not None:
            arrays[i] = _typed(backend, array, target)


def _agree(backend: Backend, a: Any, b: Any) -> bool:
    """Whether two operands need no cast: equal dtypes, or a floating array and a real number."""
    if type(a) is backend.array_type:
        if type(b) is backend.array_type:
            return a.dtype is b.dtype
        known, number = a.dtype, type(b)
    elif type(b) is backend.array_type:
        known, number = b.dtype, type(a)
    else:
        return False
    if number is int:
        value = a if number is type(a) else b
        if not -_LARGEST <= value < _LARGEST:
            return False
        return known.kind == "f" or (known.kind == "i" and known.itemsize == 8)
    return number is float and known.kind == "f"


def _only_weak(backend: Backend, operands: list[Any]) -> bool:
    """Whether all but the first, a floating array, are floats or None, which need no cast."""
    first = operands[0]
    if type(first) is not backend.array_type or first.dtype.kind != "f":
        return False
    for x in operands[1:]:
        if type(x) is not float and x is not None:
            return False
    return True


def _kind(operand: Any) -> str:
    """NumPy's kind of an array's dtype; empty for a number."""
    known = getattr(operand, "dtype", None)
    return "" if known is None else known.kind


def _typed(backend: Backend, number: Any, target: dtype) -> Any:
    """Give a number the type NumPy's weak rule would refuse or mistype.

    NumPy raises OverflowError for ``uint8_array + 300``, where PyTorch wraps around, and knows no
    weak numbers for bfloat16.
    """
    if hasattr(number, "item"):
        number = number.item()  # a NumPy scalar would impose its own dtype
    if type(number) is int and not -_LARGEST <= number < _LARGEST:
        if not -_LARGEST <= number < 2 * _LARGEST:
            raise OverflowError("int too big to convert")
        if target.category is Category.INTEGRAL:  # PyTorch wraps around
            number -= 2 * _LARGEST if target.is_signed else 0
    if target.name == "bfloat16" or isinstance(number, bool):
        return backend.asarray(number, target.np)[()]
    if target.category is Category.INTEGRAL and target.itemsize < 8:
        return backend.asarray(number).astype(target.np)[()]
    return number


def operand_dtype(backend: Backend, operands: list[Any]) -> dtype:
    """Return the common dtype of arrays and numbers; None operands are skipped."""
    dimensioned, zero_dim, numbers = [], [], []
    for x in operands:
        if isinstance(x, backend.array_type):
            (dimensioned if x.ndim else zero_dim).append(_known(x.dtype))
        elif x is not None:
            numbers.append(scalar_dtype(x))
    return promote_operands(dimensioned, zero_dim, numbers)


_LARGEST = 2**63
_known = lru_cache(maxsize=64)(from_numpy_dtype)
