"""Sizes that users give as one number for all dimensions or as one for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def per_dimension(value: Any, n: int) -> tuple[Any, ...]:
    """Return an iterable as a tuple, anything else repeated `n` times."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * n


def reversed_twice(sizes: Iterable[int]) -> list[int]:
    """Return the sizes in reverse order, each twice: the paddings that `functional.pad` takes."""
    return [size for size in reversed(tuple(sizes)) for _ in range(2)]
