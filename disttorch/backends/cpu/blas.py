"""Vector operations of the OpenBLAS in NumPy's wheel: one pass where NumPy needs three."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# Below this many elements the call through ctypes costs more than the passes it saves.
_WORTHWHILE = 1 << 14
# By NumPy's one-letter dtype: the function, whose 64 says that its integers are 64-bit ones.
_NAMES = {"f": "scipy_cblas_saxpby64_", "d": "scipy_cblas_daxpby64_"}
_SCALARS = {"f": ctypes.c_float, "d": ctypes.c_double}


@cache
def _axpby(char: str) -> Callable[..., None] | None:
    """BLAS's ``axpby(n, a, x, incx, b, y, incy)`` for a dtype, None where there is none."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("*openblas*")) if char in _NAMES else ():
        function = getattr(ctypes.CDLL(str(path)), _NAMES[char], None)
        if function is not None:
            scalar, integer = _SCALARS[char], ctypes.c_int64
            function.argtypes = (
                *(integer, scalar, ctypes.c_void_p, integer),
                *(scalar, ctypes.c_void_p, integer),
            )
            function.restype = None
            return function  # type: ignore[no-any-return]
    return None


def axpby(a: float, x: Any, b: float, y: Any) -> bool:
    """Do ``y = a * x + b * y`` in place and return True, or return False for the caller to do it.

    `x` and `y` are one-dimensional and contiguous, of one dtype and length.
    """
    if y.size < _WORTHWHILE:
        return False
    function = _axpby(y.dtype.char)
    if function is None:
        return False
    function(y.size, a, _address(x), 1, b, _address(y), 1)
    return True


def add_scaled(y: Any, x: Any, a: float) -> bool:
    """Do ``y += a * x`` in place and return True, or return False for the caller to do it.

    Arrays of any shape and dtype; small ones are left to NumPy, which takes a second array.
    """
    if y.dtype is not x.dtype or y.shape != x.shape:
        return False
    if not (y.flags.c_contiguous and x.flags.c_contiguous) or y.dtype.char not in _SCALARS:
        return False
    if y.size < _WORTHWHILE:
        np.add(y, np.multiply(x, a), y)
        return True
    function = _axpby(y.dtype.char)
    if function is None:
        return False
    function(y.size, a, _address(x), 1, 1.0, _address(y), 1)
    return True


def _address(array: Any) -> int:
    """Address of the first element of a contiguous array that is not empty."""
    if array.flags.writeable:  # a quarter of the time of the other way
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    address: int = array.__array_interface__["data"][0]
    return address
