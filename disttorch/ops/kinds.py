"""Refusing dtypes that an operator is not defined for, with PyTorch's texts."""

from __future__ import annotations

from typing import Any

from disttorch.dtype import TYPE_NAMES, from_numpy_dtype


def refuse_kinds(array: Any, kinds: str, kernel: str) -> None:
    """Raise NotImplementedError if the dtype of `array` is of one of NumPy's `kinds`.

    `kernel` is the name PyTorch's message has for the operator.
    """
    if array.dtype.kind in kinds:
        name = TYPE_NAMES[from_numpy_dtype(array.dtype)]
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{name}'")
