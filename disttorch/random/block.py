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

Array = np.ndarray

_N = 624
# More words than these are drawn by NumPy: a block would soon be used up.
FEW_WORDS = _N // 3
_LOW_21, _LOW_24 = np.uint64((1 << 21) - 1), np.uint64((1 << 24) - 1)
_SCALE_24 = np.float32(2.0**-24)
_HALF = 8  # radii, then angles, of torch's vectorised Box-Muller transform


def _sealed(array: Array) -> Array:
    """Return the array, read-only: slices of it are handed out."""
    array.flags.writeable = False
    return array


class Place:
    """Where an engine stands, read and written in its memory; all of it under the engine's lock."""

    def __init__(self, engine: np.random.MT19937) -> None:
        self.engine, self.lock = engine, engine.lock
        address = engine.ctypes.state_address
        self.at = ctypes.c_int32.from_address(address + 4 * _N)
        # The first two words of the key: where they have changed, the key has.
        self.mark = ctypes.c_uint64.from_address(address)


class Block:
    """Words of an engine and what is made of them; each array is made when it is wanted.

    They are all words of the engine's key and, before them, what was left of the last one.
    Positions are those of words in the block. All arrays are read-only.
    """

    def __init__(self, place: Place, n: int) -> None:
        """Draw the next `n` words, which are the block's from `self.first` on."""
        self._place = place
        with place.lock:
            draw, at = place.engine.random_raw, place.at.value
            left = _N - at
            if n <= left:
                place.at.value = 0
                words = draw(_N)
                place.at.value = at + n
                self.first, self._before = at, 0
            else:
                words = np.concatenate([draw(left), draw(_N)])
                place.at.value = n - left
                self.first, self._before = 0, left
            self._made_of = place.mark.value
        self.words: Array = _sealed(words)  # uint64
        self._wide: list[Array | None] = [None, None]
        self._units64: list[Array | None] = [None, None]
        self._pairs: list[Array | None] = [None, None]

    def take(self, n: int) -> int:
        """Move the engine `n` words on and return where they start; -1 if it has not as many."""
        place = self._place
        with place.lock:
            start: int = place.at.value
            if start + n > _N or place.mark.value != self._made_of:
                return -1
            place.at.value = start + n
        return start + self._before

    @cached_property
    def units(self) -> Array:
        """Words' low 24 bits over 2^24, float32."""
        units = (self.words & _LOW_24).view(np.int64).astype(np.float32)
        return _sealed(np.multiply(units, _SCALE_24, units))

    @cached_property
    def _polar(self) -> Array:
        """Both normal numbers of a radius at each place and the angle 8 places on, (2, n - 8)."""
        u = self.units
        radius = np.subtract(np.float32(1), u[:-_HALF])
        np.log(radius, radius)
        np.multiply(radius, np.float32(-2), radius)
        np.sqrt(radius, radius)
        theta = u[_HALF:] * np.float32(2 * math.pi)
        made = np.empty((2, radius.size), np.float32)
        np.multiply(np.cos(theta), radius, made[0])
        np.multiply(np.sin(theta, theta), radius, made[1])
        return _sealed(made)

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
            last = odd + (self.words.size - odd) // 2 * 2
            made = (self.words[odd:last:2] & _LOW_21) << np.uint64(32)
            self._wide[odd] = _sealed(np.bitwise_or(made, self.words[odd + 1 : last : 2], made))
        return made[start >> 1 : (start >> 1) + n]

    def units64(self, start: int, n: int) -> Array:
        """`n` numbers of [0, 1) with 53 random bits from the words at `start`, float64."""
        odd = start & 1
        made = self._units64[odd]
        if made is None:
            made = self.wide(odd, _N).view(np.int64) * 2.0**-53
            self._units64[odd] = _sealed(made)
        return made[start >> 1 : (start >> 1) + n]

    def pairs(self, start: int, n_pairs: int) -> Array:
        """Box-Muller pairs of 64-bit words, an angle and a radius each, float64 (n_pairs, 2)."""
        odd = start & 1
        made = self._pairs[odd]
        if made is None:
            u = self.units64(odd, _N)
            radius, theta = np.sqrt(-2.0 * np.log1p(-u[1:])), 2.0 * math.pi * u[:-1]
            made = np.empty((2, radius.size))
            np.multiply(radius, np.cos(theta), made[0])
            np.multiply(radius, np.sin(theta), made[1])
            self._pairs[odd] = _sealed(made)
        shape, strides = (n_pairs, 2), (16, made.strides[0])
        return np.ndarray(shape, np.float64, made, 8 * (start >> 1), strides)
