"""PyTorch's error for operands whose shapes do not broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def mismatch(arrays: Sequence[Any]) -> str | None:
    """Describe the first dimension, from the last, in which shapes differ; None if there is none.

    Operands without a shape (numbers, None) fit everything.
    """
    common: tuple[int, ...] = ()
    for shape in [a.shape for a in arrays if hasattr(a, "shape")]:
        n = max(len(common), len(shape))
        a, b = (1,) * (n - len(common)) + common, (1,) * (n - len(shape)) + tuple(shape)
        for d in reversed(range(n)):
            if a[d] != b[d] and 1 not in (a[d], b[d]):
                return (
                    f"The size of tensor a ({a[d]}) must match the size of tensor b ({b[d]}) at "
                    f"non-singleton dimension {d}"
                )
        common = tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))
    return None
