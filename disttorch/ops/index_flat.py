"""Flat positions and coordinates: unravel_index, nonzero_static."""

from __future__ import annotations

import math
from typing import Any

from disttorch.autograd.op import public
from disttorch.ops.index_mask import nonzero
from disttorch.tensor import Tensor

__all__ = ["nonzero_static", "unravel_index"]


@public()
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Coordinates, one int64 tensor a dimension of `shape`, of positions in the flattened tensor.

    Raises TypeError for indices or lengths that are no integers, ValueError for negative lengths.
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype.name == "bool":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype!r}")
    lengths = (shape,) if hasattr(shape, "__index__") else shape
    for n in (lengths,) if isinstance(lengths, str) else lengths:
        if not hasattr(n, "__index__"):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(n)!r}")
    lengths = tuple([n.__index__() for n in lengths])
    if any(n < 0 for n in lengths):
        raise ValueError(f"'shape' cannot have negative values, but got {lengths}")
    array = indices._array.astype("int64")
    steps = [math.prod(lengths[d + 1 :]) for d in range(len(lengths))]
    return tuple(
        Tensor._wrap(indices.backend.asarray(array // step % n))
        for n, step in zip(lengths, steps, strict=True)
    )


@public(method=True)
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """Int64 indices (size, ndim) of the first `size` elements that are not zero, padded."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = nonzero(input)._array[:size]
    out = input.backend.xp.full((size, input.ndim), fill_value, "int64")
    out[: found.shape[0]] = found
    return Tensor._wrap(out)
