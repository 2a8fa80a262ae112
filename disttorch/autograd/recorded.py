"""`F` for Tensors: the functions of `backends.raw`, recorded, for sweeps with create_graph.

Filled once by `disttorch.ops`, which lies above: formulas call it, it calls the public operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class RecordedFunctions:
    """Namespace of public operators under the names `RawFunctions` has."""

    recorded = True

    def fill(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Set the functions; called once, when `disttorch` is imported."""
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"F has no function {name!r}; add it to RawFunctions and to ops")


RECORDED = RecordedFunctions()
