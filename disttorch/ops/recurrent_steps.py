"""What the recurrent layers share: rows of packed sequences by step, and gates.

A layer's input is the matrix (rows, features) of all steps below one another, in decreasing order
of the sequences' lengths; `sizes` says how many sequences are still going on at each step, and so
how many rows the step has. For sequences of one length this is (T, N, features), reshaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

Array = Any
Sizes = tuple[int, ...]


def steps(sizes: Sizes, reverse: bool) -> list[tuple[slice, int]]:
    """Return (rows, number of sequences) of each step in the order in which they are taken."""
    ends = list(accumulate(sizes))
    order = [(slice(end - n, end), n) for end, n in zip(ends, sizes, strict=True)]
    return order[::-1] if reverse else order


def projected(x: Array, w: Array, b: Array | None) -> Array:
    """Return ``x @ w.T + b`` for all steps at once."""
    y = x @ w.T
    if b is not None:
        y += b
    return y


def from_gates(gates: Array, inputs: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of inputs, weight and bias of `projected`, given that of its result."""
    return gates @ w, gates.T @ inputs, gates.sum(0)


def concatenated(parts: Sequence[Any], reverse: bool, join: Any) -> Any:
    """Join the outputs of the steps, which were made in the order they were taken in."""
    return join(list(parts)[::-1] if reverse else list(parts))
