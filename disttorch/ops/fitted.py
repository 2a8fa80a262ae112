"""A Python number as an element of a dtype: what wraps around, and what PyTorch refuses."""

from __future__ import annotations

import functools
import math
from typing import Any

from disttorch.dtype import CPP_NAMES, finfo, iinfo
from disttorch.dtype import bool as bool_
from disttorch.dtype import dtype as Dtype


def fitted(value: Any, dtype: Dtype) -> Any:
    """`value`, a number, as one that an array of `dtype` holds: negative ones wrap if unsigned.

    Raises, as PyTorch, RuntimeError for one out of range, OverflowError beyond 64 bits.
    """
    if type(value) is float and dtype.is_floating_point:
        if value - value == 0 and not -(largest := _largest(dtype)) <= value <= largest:
            raise RuntimeError(_overflow(dtype))
        return value
    if isinstance(value, complex) and not dtype.is_complex:
        if dtype is bool_:
            return value != 0
        if value.imag:
            raise RuntimeError(_overflow(dtype))
        value = value.real
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        below = "can't convert negative int to unsigned"
        raise OverflowError(below if value < 0 else "int too big to convert")
    if dtype.is_integral:
        info = _integers(dtype)
        wraps = isinstance(value, int) and not dtype.is_signed
        # Written so that NaN is refused.
        if not (-info.max if wraps else info.min) <= value <= info.max:
            raise RuntimeError(_overflow(dtype))
        return int(value) % (1 << info.bits) if wraps else int(value)
    if dtype.is_complex:
        _check_part(value.real, dtype)
        _check_part(value.imag, dtype)
        return value
    if dtype.is_floating_point:
        _check_part(value, dtype)
        return float(value)  # ml_dtypes takes no large ints
    return value


def _check_part(value: float, dtype: Dtype) -> None:
    """Raise if a finite number is too large for a floating dtype or the parts of a complex one."""
    if math.isfinite(value) and abs(value) > _largest(dtype):
        raise RuntimeError(_overflow(dtype))


@functools.cache
def _largest(dtype: Dtype) -> float:
    """The largest number of a floating dtype."""
    return finfo(dtype).max  # type: ignore[attr-defined]


_integers = functools.cache(iinfo)


def _overflow(dtype: Dtype) -> str:
    return f"value cannot be converted to type {CPP_NAMES[dtype]} without overflow"


__all__ = ["fitted"]
