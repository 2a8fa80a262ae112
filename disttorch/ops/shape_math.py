"""Arithmetic of sizes and strides: no tensors are made here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from disttorch.tensor import Tensor


def sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Accept both spellings of a shape: ``f(2, 3)`` and ``f((2, 3))``."""
    if len(given) == 1:
        first = given[0]
        if type(first) is int:
            return given
        if (
            type(first) is tuple
            or isinstance(first, Sequence)
            or (isinstance(first, Tensor) and first.ndim)
        ):
            given = tuple(first)
    for n in given:
        if type(n) is not int:
            return tuple([n.__index__() for n in given])
    return given


_FLAT = (-1,)


@lru_cache(1 << 12)
def resolve_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Fill in one -1; RuntimeError, with PyTorch's text, if the shape does not hold `numel`."""
    if shape == _FLAT:
        return (numel,)
    product = math.prod(shape)
    if product == numel and (not shape or min(shape) >= 0):
        return shape
    if product < 0 and min(shape) == -1 and shape.count(-1) == 1 and numel % product == 0:
        at = shape.index(-1)
        return (*shape[:at], numel // -product, *shape[at + 1 :])
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    for i, n in enumerate(shape):
        if n < -1:
            raise RuntimeError(f"invalid shape dimension {n} at index {i} of shape {list(shape)}")
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape:
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if known and numel % known == 0:
            return tuple([numel // known if n == -1 else n for n in shape])
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def view_is_possible(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether memory with this shape and these strides can be seen in the shape `wanted`.

    Runs of old dimensions that are contiguous among themselves form chunks; every chunk must be
    covered by whole new dimensions, from the last backwards.
    """
    if 0 in shape:
        return True
    ahead = [n for n in wanted if n != 1]
    chunk = 1
    following = None  # the stride that the next dimension outwards has if it joins the chunk
    for n, stride in reversed([p for p in zip(shape, strides, strict=True) if p[0] != 1]):
        if following is not None and stride != following and not _cover(ahead, chunk):
            return False
        if stride != following:
            chunk = 1
        chunk *= n
        following = n * stride
    return _cover(ahead, chunk)


def _cover(ahead: list[int], chunk: int) -> bool:
    """Take dimensions off the end of `ahead` until they fill `chunk`; False if they do not."""
    covered = 1
    while covered < chunk and ahead:
        covered *= ahead.pop()
    return covered == chunk


def distinct_dims(input: Tensor, dims: Iterable[int]) -> tuple[int, ...]:
    """Check dimensions and make them non-negative; RuntimeError for one given twice."""
    found = tuple([input._dim(d) for d in dims])
    if len(set(found)) != len(found):
        twice = next(d for d in found if found.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return found


def strict_dim(input: Tensor, dim: int) -> int:
    """Check a dimension of a tensor that must have one; IndexError for a 0-d tensor."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return input._dim(dim)


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a row-major tensor."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def broadcast_shapes_checked(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Common shape of several; RuntimeError with PyTorch's text if there is none."""
    common: list[int] = []
    for shape in shapes:
        a, b = list(common), list(shape)
        ndim = max(len(a), len(b))
        a, b = [1] * (ndim - len(a)) + a, [1] * (ndim - len(b)) + b
        for d, (n, m) in enumerate(zip(a, b, strict=True)):
            if n != m and 1 not in (n, m):
                raise RuntimeError(
                    f"The size of tensor a ({n}) must match the size of tensor b ({m}) at "
                    f"non-singleton dimension {d}"
                )
        common = [m if n == 1 else n for n, m in zip(a, b, strict=True)]
    return tuple(common)
