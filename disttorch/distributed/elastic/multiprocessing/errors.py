"""Errors of ranks: the launcher tells the first cause with its traceback without any help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["record"]


def record(fn: F, error_handler: Any = None) -> F:
    """Return `fn`: what it raises is recorded in any case."""
    return fn
