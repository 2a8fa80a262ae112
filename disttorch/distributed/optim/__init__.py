"""`disttorch.distributed.optim`: optimisers whose state is spread over the ranks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "PostLocalSGDOptimizer": "disttorch.optim.post_local_sgd",
    "ZeroRedundancyOptimizer": "disttorch.optim.zero_redundancy",
}
__all__ = ["PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]


def __getattr__(name: str) -> Any:
    """Import an optimiser when it is asked for: optimisers stand above this layer."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
