"""Compiled steps of recurrent layers: everything but the matrix product, in one pass.

Imported when the first of them is wanted: it imports Numba, which infers the types. Arrays are the
rows of one step, contiguous; what each computes is told by the NumPy code that it stands for, in
`ops.recurrent_lstm`.
"""

import numpy as np

from disttorch.backends.cpu.jit.compiling import compiled
from disttorch.backends.cpu.jit.maths import tanh


@compiled
def lstm(z, cell, squashed, last):
    half, n = np.float32(0.5), cell.shape[1]
    for r in range(cell.shape[0]):
        for j in range(n):
            i = tanh(z[r, j]) * half + half
            f = tanh(z[r, n + j]) * half + half
            g = tanh(z[r, 2 * n + j])
            o = tanh(z[r, 3 * n + j]) * half + half
            z[r, j] = i
            z[r, n + j] = f
            z[r, 2 * n + j] = g
            z[r, 3 * n + j] = o
            c = cell[r, j] * f + i * g
            cell[r, j] = c
            t = tanh(c)
            squashed[r, j] = t
            last[r, j] = o * t


@compiled
def lstm_backward(z, before, squashed, state, cell, out):
    one, n = np.float32(1), cell.shape[1]
    for r in range(cell.shape[0]):
        for j in range(n):
            i, f, g, o = z[r, j], z[r, n + j], z[r, 2 * n + j], z[r, 3 * n + j]
            t, h = squashed[r, j], state[r, j]
            c = cell[r, j] + h * (o * (one - t * t))
            out[r, j] = i * (one - i) * g * c
            out[r, n + j] = f * (one - f) * before[r, j] * c
            out[r, 2 * n + j] = i * (one - g * g) * c
            out[r, 3 * n + j] = o * (one - o) * t * h
            cell[r, j] = c * f
