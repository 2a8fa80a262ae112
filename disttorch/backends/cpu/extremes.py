"""Largest and smallest elements of large NumPy arrays and their places, in several threads.

NumPy finds places along any but the last dimension through a transposed copy, at a twentieth of the
speed at which it finds the values. Here the values come first, then the first row that equals them:
rows are numbered backwards in bytes, so that this is a maximum again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray
Axis = int | tuple[int, ...] | None

_FEW = 1 << 10  # elements up to which finding the place costs less than setting up a reduction
_SMALL = 1 << 15  # elements up to which NumPy alone is quicker
_THREADED = 1 << 17
_NARROW = 64  # elements after the dimension from which working on whole rows pays
_STRIP = 512  # columns worked on at a time
_PLACES = {"max": np.ndarray.argmax, "min": np.ndarray.argmin}
_UFUNCS = {"max": np.maximum, "min": np.minimum, "argmax": np.maximum, "argmin": np.minimum}


def extreme(x: Array, name: str, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return ``x.max(axis)`` or ``x.min(axis)``; NaN where there is one."""
    if axis is None and 0 < x.size <= _FEW and x.dtype.kind in "fiub" and not keepdims:
        flat = x.ravel()
        return flat[_PLACES[name](flat)]  # type: ignore[no-any-return]
    shape = _three_dims(x, axis) if x.size >= _THREADED and get_num_threads() > 1 else None
    if shape is None or x.dtype.kind not in "fiu":
        # What x.max calls, with less ado.
        return _UFUNCS[name].reduce(x, axis, None, None, keepdims)
    view, reduce = x.reshape(shape), _UFUNCS[name].reduce
    outer, n, inner = shape
    if outer == inner == 1:
        y = reduce(_of_pieces(view[0, :, 0], reduce))
    else:
        y = np.empty((outer, inner), x.dtype)

        def work(rows: slice, columns: slice) -> None:
            reduce(view[rows, :, columns], axis=1, out=y[rows, columns])

        _each_strip(outer, n, inner, work)
    return np.reshape(y, _reduced_shape(x, axis, keepdims))


def arg_extreme(x: Array, name: str, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return ``x.argmax(axis)`` or ``x.argmin(axis)``: of equals the first, NaN before others."""
    numpy_does: Callable[..., Array] = getattr(x, name)
    if x.size < _SMALL and not keepdims:
        return numpy_does(axis)
    shape = _three_dims(x, axis) if x.size >= _SMALL else None
    if shape is None or x.dtype.kind not in "fiu" or x.dtype.itemsize < 4:
        return numpy_does(axis=axis, keepdims=keepdims)
    outer, n, inner = shape
    view = x.reshape(shape)
    if inner == 1 and (get_num_threads() < 2 or x.size < _THREADED):
        return numpy_does(axis=axis, keepdims=keepdims)
    if 1 < inner < _NARROW:
        return numpy_does(axis=axis, keepdims=keepdims)
    y = np.empty((outer, inner), np.int64)
    if outer == inner == 1:
        y[...] = _arg_of_flat(view[0, :, 0], name)
    else:

        def work(rows: slice, columns: slice) -> None:
            if inner == 1:
                getattr(view[rows, :, 0], name)(axis=1, out=y[rows, 0])
                return
            for r in range(rows.start, rows.stop):
                y[r, columns] = _arg_of_strip(view[r, :, columns], name)

        _each_strip(outer, n, inner, work)
    return y.reshape(_reduced_shape(x, axis, keepdims))


def _three_dims(x: Array, axis: Axis) -> tuple[int, int, int] | None:
    """Sizes before, along and after adjacent dimensions `axis` of a contiguous array, or None."""
    if not x.flags.c_contiguous:
        return None
    if axis is None:
        return 1, x.size, 1
    dims = sorted(d % x.ndim for d in (axis if isinstance(axis, tuple) else (axis,)))
    if not dims or dims != list(range(dims[0], dims[-1] + 1)):
        return None
    parts = x.shape[: dims[0]], x.shape[dims[0] : dims[-1] + 1], x.shape[dims[-1] + 1 :]
    return math.prod(parts[0]), math.prod(parts[1]), math.prod(parts[2])


def _reduced_shape(x: Array, axis: Axis, keepdims: bool) -> tuple[int, ...]:
    if axis is None:
        return (1,) * x.ndim * keepdims
    dims = {d % x.ndim for d in (axis if isinstance(axis, tuple) else (axis,))}
    sizes = [1 if d in dims else n for d, n in enumerate(x.shape) if keepdims or d not in dims]
    return tuple(sizes)


def _each_strip(outer: int, n: int, inner: int, work: Callable[[slice, slice], None]) -> None:
    """Call ``work(rows, columns)`` for all blocks of (outer, inner), in several threads."""
    columns = min(inner, _STRIP)
    rows = max(1, min(outer, _THREADED // max(1, n * columns)))
    n_strips = -(-inner // columns)

    def piece(i: int) -> None:
        r, c = divmod(i, n_strips)
        work(
            slice(r * rows, min(outer, (r + 1) * rows)),
            slice(c * columns, min(inner, (c + 1) * columns)),
        )

    run_pieces(piece, -(-outer // rows) * n_strips)


def _of_pieces(flat: Array, reduce: Callable[..., Any], kind: Any = None) -> Array:
    """Reduce each piece of `_THREADED` elements of a flat array."""
    found = np.empty(-(-flat.size // _THREADED), kind or flat.dtype)

    def work(i: int) -> None:
        found[i] = reduce(flat[i * _THREADED : (i + 1) * _THREADED])

    run_pieces(work, found.size)
    return found


def _arg_of_flat(flat: Array, name: str) -> int:
    """The place in a flat array: the best piece's, of equal pieces the first."""
    places = _of_pieces(flat, getattr(np, name), np.int64)
    places += np.arange(places.size) * _THREADED
    return int(places[getattr(flat[places], name)()])


def _arg_of_strip(strip: Array, name: str) -> Array:
    """The first row of (n, columns) that holds each column's extreme."""
    best = _UFUNCS[name].reduce(strip, axis=0)
    if np.isnan(best).any():
        return getattr(strip, name)(axis=0)  # type: ignore[no-any-return]
    place = np.full(best.shape, -1, np.int64)
    for start in range(0, len(strip), 255):
        equal = (strip[start : start + 255] == best).view(np.uint8)
        equal *= np.arange(len(equal), 0, -1, dtype=np.uint8)[:, None]
        highest = equal.max(0)
        found = (highest > 0) & (place < 0)
        place[found] = start + len(equal) - highest[found].astype(np.int64)
        if (place >= 0).all():
            break
    return place
