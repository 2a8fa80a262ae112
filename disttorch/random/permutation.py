"""Random permutations equal to torch's, without a loop of Python over the swaps.

A shuffle is a list of swaps, one a step, each of the step's own position with a drawn target: what
LAPACK does to the rows of a matrix that pivots were found for. Where there is no LAPACK to call,
and for the other kind of shuffle, each position asks which step wrote to it last; these links form
a forest, and following them to the roots gives the permutation in a few passes.
"""

from __future__ import annotations

import numpy as np

from disttorch.backends.cpu.lapack import swap_one_by_one
from disttorch.dtype import TYPE_NAMES, dtype
from disttorch.random.generator import Generator, default_generator

Array = np.ndarray

# From this length on torch permutes with 64-bit draws, by the inside-out shuffle.
_LONG = 0xFFFFFFFF // 20
# Up to this length Python swaps one by one in less time than arrays are set up.
_SHORT = 40


def permutation(n: int, kind: dtype, generator: Generator | None = None) -> Array:
    """Return 0 .. n - 1 in random order, of dtype `kind`, (n,).

    Raises RuntimeError for a negative `n` and NotImplementedError for bool.
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if kind.name == "bool" or kind.is_complex:
        raise NotImplementedError(f"\"randperm\" not implemented for '{TYPE_NAMES[kind]}'")
    source = generator or default_generator
    if n < _SHORT:
        return np.array(_swapped(n, source), kind.np)
    if n < _LONG:
        targets = source.words(n - 1)
        targets %= np.arange(n, 1, -1, np.uint64)
        places = targets.view(np.int64)
        places += np.arange(n - 1)
        values = np.arange(n, dtype=np.float64)  # LAPACK's numbers; it moves them as they are
        if swap_one_by_one(values, places):
            return values.astype(kind.np)
        return shuffled(np.append(places, n - 1)).astype(kind.np)
    steps = np.arange(n)
    draws = source.words64(n) % (steps + 1).astype(np.uint64)
    return shuffled_inside_out(draws.view(np.int64)).astype(kind.np)


def _swapped(n: int, source: Generator) -> list[int]:
    """0 .. n - 1 after swapping each position in turn with one drawn from those not before it."""
    result = list(range(n))
    for i, word in enumerate(source.words(n - 1).tolist() if n > 1 else ()):
        j = i + word % (n - i)
        result[i], result[j] = result[j], result[i]
    return result


def shuffled(targets: Array) -> Array:
    """Return 0 .. n - 1 after swapping positions i and ``targets[i] >= i``, i = 0, 1, ..., (n,)."""
    previous, last = _hits(targets)
    steps = np.arange(targets.size)
    # What leaves position i at step i was put there by the last earlier swap that hit i, and had
    # left its own position then; an element whose position was never hit is where it started.
    earlier = np.where(last == steps, previous, last)
    leaving = _roots(np.where(earlier < 0, steps, earlier))
    return np.where(previous < 0, targets, leaving[previous])


def shuffled_inside_out(targets: Array) -> Array:
    """Return the list grown by appending i and swapping it with ``targets[i] <= i``, (n,)."""
    previous, last = _hits(targets)
    steps = np.arange(targets.size)
    # Step i appends what stood at its target: the element of the last step that hit the target,
    # else whatever was appended there when that position was new.
    origin = _roots(np.where(previous < 0, targets, steps))
    appended = np.where(previous < 0, steps, previous)[origin]
    return np.where(last < 0, appended, last)


def _hits(targets: Array) -> tuple[Array, Array]:
    """For each step the step before with the same target, for each position the last to hit it.

    Both int64 (n,), -1 where there is none.
    """
    n = targets.size
    shift = n.bit_length()
    keys = targets << shift
    keys |= np.arange(n)
    keys.sort()
    step = keys & ((1 << shift) - 1)
    keys >>= shift
    same = keys[1:] == keys[:-1]
    previous, last = np.full(n, -1), np.full(n, -1)
    previous[step[1:][same]] = step[:-1][same]
    ends = np.ones(n, bool)
    np.logical_not(same, ends[:-1])
    last[keys[ends]] = step[ends]
    return previous, last


def _roots(parents: Array) -> Array:
    """Follow `parents` (n,) from each element to its root; roots are their own parents."""
    while True:
        further = parents[parents]
        if not np.logical_or.reduce(further != parents):
            return parents
        parents = further
