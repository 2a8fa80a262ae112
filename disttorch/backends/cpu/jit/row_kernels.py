"""Compiled loops over rows start to stop of (rows, n) matrices of float32.

Imported when the first of them is wanted: it imports Numba, which infers the types. What each
computes is told by the NumPy code that it stands for, in `softmax`, `norm` and `sums`. Sums run in
vectors: several totals, added up at the end.
"""

from functools import partial

import numpy as np

from disttorch.backends.cpu.jit import compiling
from disttorch.backends.cpu.jit.maths import exp, log, sqrt

compiled = partial(compiling.compiled, relaxed={"contract", "reassoc", "nsz"})


@compiled
def softmax(x, top, out, start, stop):  # noqa: ANN001, ANN201, D103 - see above
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(x.shape[1]):
            e = exp(x[r, j] - top[r])
            out[r, j] = e
            total += e
        share = np.float32(1) / total
        for j in range(x.shape[1]):
            out[r, j] *= share


@compiled
def log_softmax(x, top, out, start, stop):  # noqa: ANN001, ANN201, D103 - see above
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += exp(x[r, j] - top[r])
        less = log(total)
        for j in range(x.shape[1]):
            out[r, j] = (x[r, j] - top[r]) - less


@compiled
def softmax_backward(g, y, out, start, stop):  # noqa: ANN001, ANN201, D103 - see above
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(g.shape[1]):
            total += g[r, j] * y[r, j]
        for j in range(g.shape[1]):
            out[r, j] = y[r, j] * (g[r, j] - total)


@compiled
def log_softmax_backward(g, y, out, start, stop):  # noqa: ANN001, ANN201, D103 - see above
    for r in range(start, stop):
        total = np.float32(0)
        for j in range(g.shape[1]):
            total += g[r, j]
        for j in range(g.shape[1]):
            out[r, j] = g[r, j] - exp(y[r, j]) * total


@compiled
def row_norm(x, w, b, eps, y, mean, scale, start, stop):  # noqa: ANN001, ANN201, D103 - see above
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


@compiled
def row_norm_backward(g, x, w, mean, scale, gx, gw, gb, start, stop):  # noqa: ANN001, ANN201, D103 - see above
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


@compiled
def cumsum(x, out, start, stop):  # noqa: ANN001, ANN201, D103 - see above
    for r in range(start, stop):
        total = 0.0  # in float64, as PyTorch does
        for j in range(x.shape[1]):
            total += x[r, j]
            out[r, j] = total
