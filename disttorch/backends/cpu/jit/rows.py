"""Kernels over rows of (rows, n) matrices: softmax, normalisation, running sums.

Each takes whole matrices and works on rows start to stop, so that several threads can share one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.switch import pays
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

_PIECE = 1 << 17  # elements of the rows that a thread takes at a time
_SMALL = 1 << 14  # below, the calls cost more than the passes they save

# Sums in vectors: several running totals, added up at the end.
_REASSOCIATED = {"contract", "reassoc", "nsz"}

# The compiled functions. `exp`, `log` and `sqrt` are those of `maths`; no annotations: Numba
# infers the types.


def _softmax(x, top, out, start, stop):  # noqa: ANN001, ANN202
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(x.shape[1]):
            e = exp(x[r, j] - top[r])
            out[r, j] = e
            total += e
        share = np.float32(1) / total
        for j in range(x.shape[1]):
            out[r, j] *= share


def _log_softmax(x, top, out, start, stop):  # noqa: ANN001, ANN202
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += exp(x[r, j] - top[r])
        less = log(total)
        for j in range(x.shape[1]):
            out[r, j] = (x[r, j] - top[r]) - less


def _softmax_backward(g, y, out, start, stop):  # noqa: ANN001, ANN202
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(g.shape[1]):
            total += g[r, j] * y[r, j]
        for j in range(g.shape[1]):
            out[r, j] = y[r, j] * (g[r, j] - total)


def _log_softmax_backward(g, y, out, start, stop):  # noqa: ANN001, ANN202
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(g.shape[1]):
            total += g[r, j]
        for j in range(g.shape[1]):
            out[r, j] = g[r, j] - exp(y[r, j]) * total


def _row_norm(x, w, b, eps, y, mean, scale, start, stop):  # noqa: ANN001, ANN202
    n = x.shape[1]
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(n):
            total += x[r, j]
        m = total / np.float32(n)
        total = np.float32(0)
        for j in range(n):
            d = x[r, j] - m
            total += d * d
        s = np.float32(1) / sqrt(total / np.float32(n) + eps)
        mean[r, 0] = m
        scale[r, 0] = s
        for j in range(n):
            v = (x[r, j] - m) * s
            if w is not None:
                v *= w[j]
            if b is not None:
                v += b[j]
            y[r, j] = v


def _row_norm_backward(g, x, w, mean, scale, gx, gw, gb, start, stop):  # noqa: ANN001, ANN202
    n = x.shape[1]
    for r in range(start, stop):
        m, s = mean[r, 0], scale[r, 0]
        total, along = np.float32(0), np.float32(0)
        for j in range(n):
            d = g[r, j] * w[j] if w is not None else g[r, j]
            total += d
            along += d * ((x[r, j] - m) * s)
        total /= np.float32(n)
        along /= np.float32(n)
        for j in range(n):
            xhat = (x[r, j] - m) * s
            d = g[r, j] * w[j] if w is not None else g[r, j]
            gw[j] += g[r, j] * xhat
            gb[j] += g[r, j]
            gx[r, j] = s * (d - total - xhat * along)


def _cumsum(x, out, start, stop):  # noqa: ANN001, ANN202
    for r in range(start, stop):
        total = 0.0  # in float64, as PyTorch does
        for j in range(x.shape[1]):
            total += x[r, j]
            out[r, j] = total


_KERNELS: dict[str, Callable[..., None]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "softmax_backward": _softmax_backward,
    "log_softmax_backward": _log_softmax_backward,
    "row_norm": _row_norm,
    "row_norm_backward": _row_norm_backward,
    "cumsum": _cumsum,
}


@cache
def _kernel(name: str) -> Callable[..., None]:
    # Not above: Numba is imported when the first kernel is wanted.
    from disttorch.backends.cpu.jit import maths  # noqa: PLC0415
    from disttorch.backends.cpu.jit.compiling import compiled  # noqa: PLC0415

    globals().update(exp=maths.exp, log=maths.log, sqrt=maths.sqrt)
    function = _KERNELS[name]
    # Numba's cache on disk goes by this file's age: the name carries that of `maths`.
    function.__qualname__ += f"_{zlib.crc32(Path(maths.__file__).read_bytes()):08x}"
    return compiled(function, _REASSOCIATED)


def row_kernel(name: str, *arrays: Array | None) -> Callable[..., None] | None:
    """Return the kernel, if it is worth while for these arrays: float32, contiguous matrices."""
    x = arrays[0]
    if x is None or x.size < _SMALL:
        return None
    if any(a is not None and (a.dtype != np.float32 or not a.flags.c_contiguous) for a in arrays):
        return None
    return _kernel(name) if pays(name, x.size) else None


def run_rows(kernel: Callable[..., None], arguments: Sequence[Any], shape: tuple[int, int]) -> None:
    """Call ``kernel(*arguments, start, stop)`` on pieces of the rows, in several threads."""
    step = max(1, _PIECE // max(1, shape[1]))

    def work(i: int) -> None:
        kernel(*arguments, i * step, min((i + 1) * step, shape[0]))

    run_pieces(work, -(-shape[0] // step))
