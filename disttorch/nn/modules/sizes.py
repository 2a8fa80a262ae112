"""Sizes that users give as one number for all dimensions or as one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def per_dimension(value: Any, n: int) -> tuple[Any, ...]:
    """Return an iterable as a tuple, anything else repeated `n` times."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * n


def reversed_twice(sizes: Iterable[int]) -> list[int]:
    """Return the sizes in reverse order, each twice: the paddings that `functional.pad` takes."""
    return [size for size in reversed(tuple(sizes)) for _ in range(2)]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """Return `per_dimension` for `n` dimensions; layers outside of this library import it."""

    def parse(x: Any) -> tuple[Any, ...]:
        return per_dimension(x, n)

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Iterable[int], n: int) -> tuple[int, ...]:
    """Return the elements in reverse order, each `n` times."""
    return tuple(x for x in reversed(tuple(t)) for _ in range(n))
