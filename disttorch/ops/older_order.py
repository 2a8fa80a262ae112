"""The order of arguments before PyTorch 1.5, with a number between the tensors: add(x, 2, y)."""

from __future__ import annotations

import warnings
from typing import TypeVar

First, Second = TypeVar("First"), TypeVar("Second")


def number_first(
    name: str, keyword: str, number: First, tensors: tuple[Second, ...]
) -> tuple[First, tuple[Second, ...]]:
    """Return `number` and `tensors`, with PyTorch's warning that the number is ``keyword=`` now."""
    what = "Tensor other" if len(tensors) == 1 else "Tensor tensor1, Tensor tensor2"
    warnings.warn(
        f"This overload of {name} is deprecated:\n\t{name}(Number {keyword}, {what})\n"
        "Consider using one of the following signatures instead:\n"
        f"\t{name}({what}, *, Number {keyword} = 1)",
        stacklevel=4,
    )
    return number, tensors
