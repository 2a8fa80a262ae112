"""Exceptions that belong to no single layer.

RuntimeError
├── OutOfMemoryError      an allocation did not fit
└── LinAlgError           a matrix has no such factorisation, inverse or solution
ImportError
└── MissingExtraError     an optional dependency is not installed; names the extra
"""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """An allocation on a device did not fit."""


class LinAlgError(RuntimeError):
    """A matrix has no such factorisation, inverse or solution."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"install it with: pip install 'disttorch[{extra}]'"
        )
