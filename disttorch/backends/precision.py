"""16-bit floats are computed with in float32 and rounded once, as PyTorch does.

A running total in bfloat16 stays at 256 however many ones follow: sums must not be made in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

Array = Any


def is_short(x: Array) -> bool:
    """Whether x holds float16 or bfloat16."""
    return x.dtype.itemsize == 2 and x.dtype.kind in "fV"


def wide(x: Array) -> Array:
    """Return 16-bit floats as float32, anything else as it is."""
    return x.astype("float32") if is_short(x) else x


def rounded_once(compute: Callable[..., Array]) -> Callable[..., Array]:
    """Wrap a function of arrays, the first of which decides: given 16-bit floats it sees float32.

    Its result is then rounded to the dtype of the first.
    """

    @wraps(compute)
    def computed(x: Array, *others: Any, **settings: Any) -> Array:
        if x.dtype.itemsize != 2 or x.dtype.kind not in "fV":
            return compute(x, *others, **settings)
        others = tuple(wide(a) if hasattr(a, "dtype") else a for a in others)
        return compute(x.astype("float32"), *others, **settings).astype(x.dtype)

    return computed
