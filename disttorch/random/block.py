"""What a generator's current 624 words yield, computed once for all small requests.

A twister makes 624 words at a time. Of a few numbers NumPy's calls cost many times what the numbers
do, so everything that samplers make of words one by one is made here of all of them, when it is
first wanted; a small request is then a slice. The engine's own position stays the only one there
is: a request moves it, and states, kernels and large requests know nothing of blocks.
"""

from __future__ import annotations

import ctypes
import math
from functools import cached_property

import numpy as np

from disttorch.backends.cpu.jit.twister import memory_of

Array = np.ndarray

_N = 624
# More words than these are drawn by NumPy: a block would soon be used up.
FEW_WORDS = _N // 3
_B, _C = np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
_LOW_21, _LOW_24 = np.uint64((1 << 21) - 1), np.uint32((1 << 24) - 1)
_HALF = 8  # radii, then angles, of torch's vectorised Box-Muller transform


def _sealed(array: Array) -> Array:
    """Return the array, read-only: slices of it are handed out."""
    array.flags.writeable = False
    return array


class Block:
    """The words of an engine's key and what is made of them; each array is made when wanted.

    Positions are those of words in the block. All arrays are read-only.
    """

    def __init__(self, engine: np.random.MT19937) -> None:
        """Temper the key as it is; an engine that has used it up has nothing to give."""
        self._engine = engine  # owns the memory that is looked at
        address = engine.ctypes.state_address
        self._lock = engine.lock
        self._at = ctypes.c_int32.from_address(address + 4 * _N)
        # The first two words of the key: where they have changed, the key has.
        self._mark = ctypes.c_uint64.from_address(address)
        with self._lock:
            self._made_of = self._mark.value
            y = memory_of(engine)[0].copy()
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & _B
        y ^= (y << np.uint32(15)) & _C
        y ^= y >> np.uint32(18)
        self._words32 = y
        self._wide: list[Array | None] = [None, None]
        self._units64: list[Array | None] = [None, None]
        self._pairs: list[Array | None] = [None, None]

    @property
    def is_current(self) -> bool:
        """Whether the engine still draws from these words."""
        return self._mark.value == self._made_of

    def take(self, n: int) -> int:
        """Move the engine `n` words on and return where they start; -1 if it has not as many."""
        with self._lock:
            start: int = self._at.value
            if start + n > _N or self._mark.value != self._made_of:
                return -1
            self._at.value = start + n
        return start

    @cached_property
    def words(self) -> Array:
        """The words, uint64 (624,)."""
        return _sealed(self._words32.astype(np.uint64))

    @cached_property
    def units(self) -> Array:
        """Words' low 24 bits over 2^24, float32 (624,)."""
        return _sealed((self._words32 & _LOW_24).astype(np.float32) * np.float32(2.0**-24))

    @cached_property
    def _polar(self) -> Array:
        """Both normal numbers of a radius at each place and the angle 8 places on, (2, 616)."""
        u = self.units
        radius = np.sqrt(np.log(1 - u) * np.float32(-2))[:-_HALF]
        theta = u * np.float32(2 * math.pi)
        return _sealed(np.stack([np.cos(theta)[_HALF:] * radius, np.sin(theta)[_HALF:] * radius]))

    def normals(self, start: int, n: int) -> Array:
        """`n` normal numbers of the words from `start`, both multiples of torch's 16, (n/16, 2, 8).

        In the order of their places; float32.
        """
        polar = self._polar
        row = polar.strides[0]
        return np.ndarray((n >> 4, 2, _HALF), np.float32, polar, 4 * start, (64, row, 4))

    def wide(self, start: int, n: int) -> Array:
        """The low 53 bits of `n` 64-bit words from `start`, uint64."""
        odd = start & 1
        made = self._wide[odd]
        if made is None:
            pairs = self.words[odd : _N - odd].reshape(-1, 2)
            made = (pairs[:, 0] & _LOW_21) << np.uint64(32)
            self._wide[odd] = _sealed(np.bitwise_or(made, pairs[:, 1], made))
        return made[start >> 1 : (start >> 1) + n]

    def units64(self, start: int, n: int) -> Array:
        """`n` numbers of [0, 1) with 53 random bits from the words at `start`, float64."""
        odd = start & 1
        made = self._units64[odd]
        if made is None:
            made = self.wide(odd, _N // 2).view(np.int64) * 2.0**-53
            self._units64[odd] = _sealed(made)
        return made[start >> 1 : (start >> 1) + n]

    def pairs(self, start: int, n_pairs: int) -> Array:
        """Box-Muller pairs of 64-bit words, an angle and a radius each, float64 (n_pairs, 2)."""
        odd = start & 1
        made = self._pairs[odd]
        if made is None:
            u = self.units64(odd, _N // 2)
            radius, theta = np.sqrt(-2.0 * np.log1p(-u[1:])), 2.0 * math.pi * u[:-1]
            made = _sealed(np.stack([radius * np.cos(theta), radius * np.sin(theta)]))
            self._pairs[odd] = made
        shape, strides = (n_pairs, 2), (16, made.strides[0])
        return np.ndarray(shape, np.float64, made, 8 * (start >> 1), strides)
