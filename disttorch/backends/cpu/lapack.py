"""LU factorisation, triangular solution, swaps: the OpenBLAS in NumPy's wheel, which it hides."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}  # LAPACK's names of NumPy's dtypes
_ROW_MAJOR, _LEFT, _AS_IT_IS = 101, 141, 111
_UPPER, _LOWER, _NON_UNIT, _UNIT = 121, 122, 131, 132


@cache
def _routine(pattern: str, char: str) -> Callable[..., None] | None:
    """The routine of a dtype; the 64 in its name says that its integers have 64 bits."""
    letter = _LETTERS.get(char)
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("*openblas*")) if letter else ():
        function = getattr(ctypes.CDLL(str(path)), pattern.format(letter), None)
        if function is not None:
            function.restype = None
            return function  # type: ignore[no-any-return]
    return None


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def lu_factor(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Packed L and U, pivots from 1 and info of (..., m, n); None if there is no such routine."""
    getrf = _routine("scipy_{}getrf_64_", a.dtype.char)
    if getrf is None or not a.size:
        return None
    m, n = a.shape[-2:]
    k = min(m, n)
    # LAPACK's matrices are stored by columns.
    columns = np.array(a.swapaxes(-1, -2), order="C").reshape(-1, n, m)
    pivots = np.empty((len(columns), k), "int64")
    info = np.empty(len(columns), "int64")
    rows_, columns_ = (ctypes.byref(ctypes.c_int64(size)) for size in (m, n))
    for i in range(len(columns)):
        where = (_address(columns[i]), rows_, _address(pivots[i]))
        getrf(rows_, columns_, *where, _address(info[i : i + 1]))
    packed = columns.swapaxes(-1, -2).reshape(a.shape)
    batch = a.shape[:-2]
    pivots = pivots.astype("int32").reshape((*batch, k))
    return packed, pivots, info.astype("int32").reshape(batch)


def solve_triangular(
    a: np.ndarray, b: np.ndarray, upper: bool, unitriangular: bool
) -> np.ndarray | None:
    """Return x with ``a x = b``, a (..., n, n), b (..., n, k); None if there is no such routine."""
    trsm = _routine("scipy_cblas_{}trsm64_", b.dtype.char)
    if trsm is None or a.dtype != b.dtype or not (a.size and b.size):
        return None
    n, k = b.shape[-2:]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, n, k)), order="C")
    matrices = np.broadcast_to(np.ascontiguousarray(a), (*batch, n, n))
    one = np.ones((), b.dtype)
    alpha: Any = _address(one)
    if b.dtype.kind == "f":
        alpha = (ctypes.c_float if b.dtype.char == "f" else ctypes.c_double)(1)
    shape = (_ROW_MAJOR, _LEFT, _UPPER if upper else _LOWER, _AS_IT_IS)
    shape = (*shape, _UNIT if unitriangular else _NON_UNIT)
    sizes = (ctypes.c_int64(n), ctypes.c_int64(k))
    for i in np.ndindex(*batch):
        operands = (_address(matrices[i]), sizes[0], _address(x[i]), sizes[1])
        trsm(*shape, *sizes, alpha, *operands)
    return x


def swap_one_by_one(values: np.ndarray, places: np.ndarray) -> bool:
    """Swap ``values[i]`` with ``values[places[i]]``, i = 0, 1, ..., in place; False if not done.

    `values` are float64 (n,), `places` at most n int64 (k,), all of them 0 .. n - 1: LAPACK does
    not look. Both contiguous.
    """
    laswp = _routine("scipy_{}laswp_64_", "d")
    if laswp is None or not places.size:
        return laswp is not None
    one, n, k = (ctypes.c_int64(number) for number in (1, values.size, places.size))
    pivots = places + 1
    where, what = ctypes.c_double.from_buffer(values), ctypes.c_int64.from_buffer(pivots)
    by = ctypes.byref
    laswp(by(one), by(where), by(n), by(one), by(k), by(what), by(one))
    return True
