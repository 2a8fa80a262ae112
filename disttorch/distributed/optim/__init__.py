"""`disttorch.distributed.optim`: optimisers whose state is spread over the ranks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["ZeroRedundancyOptimizer"]


def __getattr__(name: str) -> Any:
    """Import an optimiser when it is asked for: optimisers stand above this layer."""
    if name in __all__:
        return getattr(import_module("disttorch.optim.zero_redundancy"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
