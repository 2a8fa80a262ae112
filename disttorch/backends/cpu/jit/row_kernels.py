"""Compiled loops over rows start to stop of (rows, n) matrices of float32.

Imported when the first of them is wanted: it imports Numba, which infers the types. What each
computes is told by the NumPy code that it stands for, in `softmax`, `norm` and `sums`.
"""

import numpy as np
from numba import njit

from disttorch.backends.cpu.jit.compiling import compiled
from disttorch.backends.cpu.jit.maths import INLINE, exp, log, sqrt

# Sums run in vectors: several totals, added up at the end. They are functions of their own, since
# only there may the order of additions change.
_in_vectors = njit(**{**INLINE, "fastmath": {"contract", "reassoc", "nsz"}})


@_in_vectors
def _sum(x, r):
    total = np.float32(0)
    for j in range(x.shape[1]):
        total += x[r, j]
    return total


@_in_vectors
def _sum_exp(x, r, less):
    total = np.float32(0)
    for j in range(x.shape[1]):
        total += exp(x[r, j] - less)
    return total


@_in_vectors
def _sum_square(x, r, less):
    total = np.float32(0)
    for j in range(x.shape[1]):
        d = x[r, j] - less
        total += d * d
    return total


@_in_vectors
def _dot(x, y, r, less):
    total = np.float32(0)
    for j in range(x.shape[1]):
        total += x[r, j] * (y[r, j] - less)
    return total


@_in_vectors
def _weighted_sum(x, w, r):
    total = np.float32(0)
    for j in range(x.shape[1]):
        total += x[r, j] * w[j]
    return total


@_in_vectors
def _weighted_dot(x, w, y, r, less):
    total = np.float32(0)
    for j in range(x.shape[1]):
        total += x[r, j] * w[j] * (y[r, j] - less)
    return total


@compiled
def softmax(x, top, out, start, stop):
    for r in range(start, stop):
        for j in range(x.shape[1]):
            out[r, j] = exp(x[r, j] - top[r])
        share = np.float32(1) / _sum(out, r)
        for j in range(x.shape[1]):
            out[r, j] *= share


@compiled
def log_softmax(x, top, out, start, stop):
    for r in range(start, stop):
        less = log(_sum_exp(x, r, top[r]))
        for j in range(x.shape[1]):
            out[r, j] = (x[r, j] - top[r]) - less


@compiled
def log_sum_exp(x, top, out, start, stop):
    for r in range(start, stop):
        out[r] = log(_sum_exp(x, r, top[r])) + top[r]


@compiled
def sum_exp_of_columns(x, top, out, start, stop):
    total, less = out[start:stop], top[start:stop]
    for r in range(x.shape[0]):
        row = x[r, start:stop]
        for j in range(total.size):
            total[j] += exp(row[j] - less[j])


@compiled
def softmax_backward(g, y, out, start, stop):
    for r in range(start, stop):
        total = _dot(g, y, r, np.float32(0))
        for j in range(g.shape[1]):
            out[r, j] = y[r, j] * (g[r, j] - total)


@compiled
def log_softmax_backward(g, y, out, start, stop):
    for r in range(start, stop):
        total = _sum(g, r)
        for j in range(g.shape[1]):
            out[r, j] = g[r, j] - exp(y[r, j]) * total


@compiled
def row_norm(x, w, b, eps, y, mean, scale, start, stop):
    n = np.float32(x.shape[1])
    for r in range(start, stop):
        m = _sum(x, r) / n
        s = np.float32(1) / sqrt(_sum_square(x, r, m) / n + eps)
        mean[r, 0] = m
        scale[r, 0] = s
        for j in range(x.shape[1]):
            v = (x[r, j] - m) * s
            if w is not None:
                v *= w[j]
            if b is not None:
                v += b[j]
            y[r, j] = v


@compiled
def row_norm_backward(g, x, w, mean, scale, gx, gw, gb, start, stop):
    n = np.float32(x.shape[1])
    for r in range(start, stop):
        m, s = mean[r, 0], scale[r, 0]
        if w is None:
            total, along = _sum(g, r) / n, _dot(g, x, r, m) * s / n
        else:
            total, along = _weighted_sum(g, w, r) / n, _weighted_dot(g, w, x, r, m) * s / n
        for j in range(x.shape[1]):
            xhat = (x[r, j] - m) * s
            d = g[r, j] * w[j] if w is not None else g[r, j]
            gw[j] += g[r, j] * xhat
            gb[j] += g[r, j]
            gx[r, j] = s * (d - total - xhat * along)


@compiled
def group_norm(x, w, b, groups, each, eps, y, mean, scale, start, stop):
    n = np.float32(each * x.shape[1])
    for r in range(start, stop):
        m, s = np.float32(0), np.float32(0)
        for q in range(r * each, (r + 1) * each):
            m += _sum(x, q)
        m /= n
        for q in range(r * each, (r + 1) * each):
            s += _sum_square(x, q, m)
        s = np.float32(1) / sqrt(s / n + eps)
        mean[r, 0] = m
        scale[r, 0] = s
        for k in range(each):
            channel, q = r % groups * each + k, r * each + k
            slope = s if w is None else s * w[channel]
            shift = np.float32(0) if b is None else b[channel]
            for j in range(x.shape[1]):
                y[q, j] = (x[q, j] - m) * slope + shift


@compiled
def group_norm_backward(g, x, w, mean, scale, groups, each, gx, gw, gb, start, stop):
    n = np.float32(each * x.shape[1])
    for r in range(start, stop):
        m, s = mean[r, 0], scale[r, 0]
        total, along = np.float32(0), np.float32(0)
        for k in range(each):
            channel, q = r % groups * each + k, r * each + k
            gb[q] = _sum(g, q)
            gw[q] = _dot(g, x, q, m) * s
            weight = np.float32(1) if w is None else w[channel]
            total += gb[q] * weight
            along += gw[q] * weight
        across, shift = s * s * along / n, s * total / n
        for k in range(each):
            channel, q = r % groups * each + k, r * each + k
            slope = s if w is None else s * w[channel]
            for j in range(x.shape[1]):
                gx[q, j] = g[q, j] * slope - (x[q, j] - m) * across - shift


@compiled
def cumsum(x, out, start, stop):
    for r in range(start, stop):
        total = 0.0  # in float64, as PyTorch does
        for j in range(x.shape[1]):
            total += x[r, j]
            out[r, j] = total


@compiled
def row_moments(x, mean, square, start, stop):
    n = np.float32(x.shape[1])
    for r in range(start, stop):
        mean[r] = _sum(x, r) / n
        square[r] = _sum_square(x, r, mean[r])


@compiled
def batch_norm(x, less, slope, shift, y, start, stop):
    for r in range(start, stop):
        c = r % less.size
        m, s, b = less[c], slope[c], shift[c]
        for j in range(x.shape[1]):
            y[r, j] = (x[r, j] - m) * s + b


@compiled
def batch_norm_sums(g, x, less, total, along, start, stop):
    for r in range(start, stop):
        total[r] = _sum(g, r)
        along[r] = _dot(g, x, r, less[r % less.size])


@compiled
def batch_norm_backward(g, x, less, slope, across, shift, gx, start, stop):
    for r in range(start, stop):
        c = r % less.size
        m, s, a, b = less[c], slope[c], across[c], shift[c]
        for j in range(x.shape[1]):
            gx[r, j] = g[r, j] * s - (x[r, j] - m) * a - b
