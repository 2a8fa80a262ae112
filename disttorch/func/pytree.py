"""Nested tuples, lists and dicts of values: flatten, rebuild, map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TreeSpec:
    """The structure of a tree: the container's type, its keys, and its children's structures."""

    kind: type | None  # None: a leaf
    keys: tuple[Any, ...] = ()
    children: tuple[TreeSpec, ...] = ()

    @property
    def num_leaves(self) -> int:
        """How many leaves trees of this structure have."""
        return 1 if self.kind is None else sum(child.num_leaves for child in self.children)

    def __repr__(self) -> str:
        if self.kind is None:
            return "*"
        keys = list(self.keys) if issubclass(self.kind, dict) else None
        inner = ",\n  ".join(str(child).replace("\n", "\n  ") for child in self.children)
        return f"TreeSpec({self.kind.__name__}, {keys}, [{inner}])"


LEAF = TreeSpec(None)


def _children(tree: Any) -> tuple[tuple[Any, ...], list[Any]] | None:
    """Keys and children of a container; None for a leaf."""
    if isinstance(tree, dict):
        return tuple(tree), list(tree.values())
    if isinstance(tree, (tuple, list)):
        return (), list(tree)
    return None


def flatten(tree: Any) -> tuple[list[Any], TreeSpec]:
    """Return the leaves of a tree, from left to right, and its structure."""
    found = _children(tree)
    if found is None:
        return [tree], LEAF
    keys, children = found
    leaves: list[Any] = []
    specs = []
    for child in children:
        below, spec = flatten(child)
        leaves += below
        specs.append(spec)
    return leaves, TreeSpec(type(tree), keys, tuple(specs))


def unflatten(leaves: Sequence[Any], spec: TreeSpec) -> Any:
    """Build a tree of structure `spec` from its leaves."""
    return _build(iter(leaves), spec)


def _build(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.kind is None:
        return next(leaves)
    children = [_build(leaves, child) for child in spec.children]
    if issubclass(spec.kind, dict):
        return spec.kind(zip(spec.keys, children, strict=True))
    return spec.kind(*children) if hasattr(spec.kind, "_fields") else spec.kind(children)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Replace each leaf by ``function(leaf)``."""
    leaves, spec = flatten(tree)
    return unflatten([function(leaf) for leaf in leaves], spec)


def spread(prefix: Any, spec: TreeSpec) -> list[Any] | None:
    """Repeat the leaves of `prefix` over the subtrees of `spec` at their places; None: no fit."""
    found = _children(prefix)
    if found is None:
        return [prefix] * spec.num_leaves
    keys, children = found
    if spec.kind is None or len(children) != len(spec.children) or keys != spec.keys:
        return None
    parts = [spread(child, below) for child, below in zip(children, spec.children, strict=True)]
    if any(part is None for part in parts):
        return None
    return [leaf for part in parts for leaf in part or ()]


__all__ = ["LEAF", "TreeSpec", "flatten", "map_leaves", "spread", "unflatten"]
