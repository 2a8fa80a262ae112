"""Compiled mt19937: what NumPy's generator yields, several words at a time.

Imported when the first of them is wanted: it imports Numba, which infers the types. `key` (624,)
and `at` (1,) are a generator's state, which goes on from where a kernel leaves it.
"""

import numpy as np
from numba import njit

from disttorch.backends.cpu.jit.compiling import compiled
from disttorch.backends.cpu.jit.maths import INLINE

_N, _AHEAD = 624, 397
_BEHIND = _N - _AHEAD
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_TWIST, _B, _C = np.uint32(0x9908B0DF), np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
_LOW_21, _LOW_24, _UNIT_24 = np.uint64((1 << 21) - 1), np.uint32((1 << 24) - 1), np.float32(2**-24)

_inline = njit(**INLINE)


@_inline
def _turned(this, following):
    y = (this & _UPPER) | (following & _LOWER)
    return (y >> np.uint32(1)) ^ ((np.uint32(0) - (y & np.uint32(1))) & _TWIST)


@_inline
def _tempered(y):
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & _B
    y ^= (y << np.uint32(15)) & _C
    return y ^ (y >> np.uint32(18))


@_inline
def _refill(key):
    # Each loop reads what it does not write, and so runs in vectors.
    for i in range(_BEHIND):
        key[i] = key[i + _AHEAD] ^ _turned(key[i], key[i + 1])
    for i in range(_BEHIND, 2 * _BEHIND):
        key[i] = key[i - _BEHIND] ^ _turned(key[i], key[i + 1])
    for i in range(2 * _BEHIND, _N - 1):
        key[i] = key[i - _BEHIND] ^ _turned(key[i], key[i + 1])
    key[_N - 1] = key[_AHEAD - 1] ^ _turned(key[_N - 1], key[0])


@compiled
def units(key, at, out):
    done, n = 0, out.size
    while done < n:
        if at[0] == _N:
            _refill(key)
            at[0] = 0
        first = at[0]
        k = min(_N - first, n - done)
        for j in range(k):
            out[done + j] = np.float32(np.int32(_tempered(key[first + j]) & _LOW_24)) * _UNIT_24
        at[0] += k
        done += k


@compiled
def below(key, at, limit, out):
    words = np.empty(_N, np.uint32)
    done, n, ready = 0, 2 * out.size, 0  # `ready`: words that wait for the second of their pair
    while done < n:
        if at[0] == _N:
            _refill(key)
            at[0] = 0
        first = at[0]
        k = min(_N - first, n - done - ready, _N - ready)
        for j in range(k):
            words[ready + j] = _tempered(key[first + j])
        at[0] += k
        ready += k
        pairs = ready // 2
        for j in range(pairs):
            high = np.uint64(words[2 * j]) & _LOW_21
            out[done // 2 + j] = (high << np.uint64(32) | np.uint64(words[2 * j + 1])) < limit
        done += 2 * pairs
        ready -= 2 * pairs
        if ready:
            words[0] = words[2 * pairs]
