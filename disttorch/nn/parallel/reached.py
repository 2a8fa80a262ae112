"""Which parts of the graph a forward pass made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from disttorch.autograd.node import Node, edge_of
from disttorch.tensor import Tensor


def nodes_below(tensors: Iterable[Tensor]) -> set[Node]:
    """All nodes of the graph that made some tensors."""
    roots = [edge_of(t) for t in tensors]
    stack = [edge[0] for edge in roots if edge is not None]
    seen: set[Node] = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return seen


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested containers and simple objects, which may refer to each other."""
    found, seen, stack = [], set(), [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, dict):
                stack.extend(item.values())
            elif isinstance(item, (list, tuple, set)):
                stack.extend(item)
            elif not isinstance(item, type):
                stack.extend(getattr(item, "__dict__", {}).values())
    return found
