"""Bunch and Kaufman's factorisation of symmetric and Hermitian matrices, on the host.

``A = P L D L^T P^T`` with D of 1 x 1 and 2 x 2 blocks; the packing and the pivots are LAPACK's
(routines sytrf and hetrf, lower triangle): ``pivots[k] = p`` exchanged rows k and p (from 1); a
pair of equal negative numbers marks a 2 x 2 block, whose second row was exchanged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any

_ALPHA = (1 + math.sqrt(17)) / 8  # bounds the growth of elements


def ldl_factor(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factorise (..., n, n), of which the lower triangle is read: packed L and D, pivots, info."""
    n = a.shape[-1]
    packed = np.zeros_like(a)
    pivots, info = np.zeros(a.shape[:-1], "int32"), np.zeros(a.shape[:-2], "int32")
    for i in np.ndindex(*a.shape[:-2]):
        lower = np.tril(a[i], -1)
        other = lower.conj() if hermitian else lower
        diagonal = np.diagonal(a[i]).real if hermitian else np.diagonal(a[i])
        full = lower + other.T + np.diag(diagonal)
        info[i] = _factor(full, pivots[i], hermitian)
        packed[i] = np.tril(full) if n else full
    return packed, pivots, info


def _factor(s: np.ndarray, pivots: np.ndarray, hermitian: bool) -> int:
    """Factorise a full symmetric matrix in place; the first zero block from 1, 0 if none."""
    k, info, n = 0, 0, s.shape[0]
    while k < n:
        p, width = _choose(s, k)
        if width == 0:
            info, width = info or k + 1, 1
            pivots[k] = k + 1
            k += 1
            continue
        last = k + width - 1
        if p != last:
            s[k:, [last, p]] = s[k:, [p, last]]
            s[[last, p], k:] = s[[p, last], k:]
        below = s[k + width :, k : k + width].copy()
        if below.size:
            other = below.conj() if hermitian else below
            scaled = np.linalg.solve(s[k : k + width, k : k + width].T, below.T).T
            s[k + width :, k + width :] -= scaled @ other.T
            s[k + width :, k : k + width] = scaled
        pivots[k : k + width] = p + 1 if width == 1 else -(p + 1)
        k += width
    return info


def _choose(s: np.ndarray, k: int) -> tuple[int, int]:
    """The row to bring up and the width of the block at k; width 0 if there is nothing left."""
    size = _magnitude(s[k, k])
    column = _magnitude(s[k + 1 :, k])
    largest = column.max(initial=0)
    if not max(size, largest) > 0:
        return k, 0
    if size >= _ALPHA * largest:
        return k, 1
    row = k + 1 + int(column.argmax())
    others = _magnitude(s[row, k:])
    others[row - k] = 0
    reach = others.max()
    if size >= _ALPHA * largest * (largest / reach):
        return k, 1
    return row, 1 if _magnitude(s[row, row]) >= _ALPHA * reach else 2


def _magnitude(x: Any) -> Any:
    """What LAPACK compares elements by: |x|, or |real| + |imag|."""
    return np.abs(x.real) + np.abs(x.imag)


def ldl_solve(packed: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> np.ndarray:
    """Return x (..., n, m) with ``a x = b``, given a's factorisation; stacks are equal."""
    x = np.array(b)
    for i in np.ndindex(*x.shape[:-2]):
        blocks = _blocks(pivots[i])
        for k, width, p in blocks:
            _forward(packed[i], x[i], k, width, p, hermitian)
        for k, width, p in reversed(blocks):
            _backward(packed[i], x[i], k, width, p, hermitian)
    return x


def _blocks(pivots: np.ndarray) -> list[tuple[int, int, int]]:
    """Start, width and exchanged row of each block."""
    blocks, k = [], 0
    while k < len(pivots):
        width = 1 if pivots[k] > 0 else 2
        blocks.append((k, width, abs(int(pivots[k])) - 1))
        k += width
    return blocks


def _forward(ld: np.ndarray, x: np.ndarray, k: int, width: int, p: int, hermitian: bool) -> None:
    last, stop = k + width - 1, k + width
    x[[last, p]] = x[[p, last]]
    x[stop:] -= ld[stop:, k:stop] @ x[k:stop]
    block = np.tril(ld[k:stop, k:stop])
    low = np.tril(block, -1)
    x[k:stop] = np.linalg.solve(block + (low.conj() if hermitian else low).T, x[k:stop])


def _backward(ld: np.ndarray, x: np.ndarray, k: int, width: int, p: int, hermitian: bool) -> None:
    last, stop = k + width - 1, k + width
    below = ld[stop:, k:stop]
    x[k:stop] -= (below.conj() if hermitian else below).T @ x[stop:]
    x[[last, p]] = x[[p, last]]
