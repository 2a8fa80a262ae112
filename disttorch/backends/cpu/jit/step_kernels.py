"""Compiled optimiser steps: p, g and slots are flat arrays, everything else numbers of their dtype.

Imported when the first of them is wanted: it imports Numba, which infers the types. What each
computes is told by the `update` of the optimiser of that name. A slot may be None; Numba then
compiles a kernel without it. Every operation rounds, as NumPy's do.
"""

import math
from functools import partial

from disttorch.backends.cpu.jit import compiling

compiled = partial(compiling.compiled, relaxed=set())


@compiled
def gradient(p, g, decay, maximize):
    g = -g if maximize else g
    return g + p * decay if decay != 0 else g


@compiled
def sgd(p, g, buffer, decay, keep, maximize, lr, momentum, new, nesterov):
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        w = p[i] * keep
        if buffer is not None:
            b = buffer[i] * momentum + d * new
            buffer[i] = b
            d = d + b * momentum if nesterov else b
        p[i] = w - d * lr


@compiled
def adam(p, g, m, v, highest, decay, keep, maximize, beta1, new1, beta2, new2, step, eps):
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        a = m[i] * beta1 + d * new1
        b = v[i] * beta2 + d * d * new2
        m[i] = a
        v[i] = b
        if highest is not None:
            b = max(highest[i], b)
            highest[i] = b
        p[i] = p[i] * keep - a / (math.sqrt(b) + eps) * step


@compiled
def rmsprop(p, g, square, buffer, mean, decay, keep, maximize, lr, alpha, new, eps, momentum):
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        s = square[i] * alpha + d * d * new
        square[i] = s
        if mean is not None:
            a = mean[i] * alpha + d * new
            mean[i] = a
            s = s - a * a
        d = d / (math.sqrt(s) + eps)
        if buffer is not None:
            d = buffer[i] * momentum + d
            buffer[i] = d
        p[i] = p[i] * keep - d * lr


@compiled
def adagrad(p, g, total, decay, keep, maximize, lr, eps):
    for i in range(p.size):
        d = gradient(p[i], g[i], decay, maximize)
        s = total[i] + d * d
        total[i] = s
        p[i] = p[i] * keep - d / (math.sqrt(s) + eps) * lr
