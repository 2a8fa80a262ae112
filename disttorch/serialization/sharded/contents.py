"""What is in a nested state, and which rank writes which part of it: no files, no ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from disttorch.size import Size
from disttorch.tensor import Tensor

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """Where a value is: its path, and the container that holds it under `key`."""

    path: Path
    container: Any
    key: Any

    @property
    def value(self) -> Any:
        """The value that is there now."""
        return self.container[self.key]

    def put(self, value: Any) -> None:
        """Replace the value."""
        self.container[self.key] = value


def flatten(state: Mapping[Any, Any]) -> dict[str, Place]:
    """The places of all values in nested dicts and lists, by their paths joined with dots.

    Lists without tensors and dicts are values. Raises ValueError if two paths have one name.
    """
    found: dict[str, Place] = {}

    def visit(container: Any, pairs: Any, above: Path) -> None:
        for key, value in pairs:
            path = (*above, key if isinstance(container, list) else str(key))
            if isinstance(value, Mapping):
                visit(value, value.items(), path)
            elif isinstance(value, list) and _is_opened(value):
                visit(value, enumerate(value), path)
            else:
                name = ".".join(map(str, path))
                if name in found:
                    raise ValueError(f"duplicated flatten key {name}")
                found[name] = Place(path, container, key)

    visit(state, state.items(), ())
    return found


def _is_opened(values: list[Any]) -> bool:
    """Whether a list holds tensors or dicts, at some depth of lists."""
    return any(
        isinstance(v, (Tensor, Mapping)) or (isinstance(v, list) and _is_opened(v)) for v in values
    )


def unflatten(values: Mapping[str, Any], paths: Mapping[str, Path]) -> dict[str, Any]:
    """The nested state of values by name; numbers in paths make lists, filled up with None."""
    root: dict[str, Any] = {}
    for name, value in values.items():
        path = paths[name]
        container: Any = root
        for key, below in pairwise(path):
            empty: Callable[[], Any] = list if isinstance(below, int) else dict
            container = _child(container, key, empty)
        _child(container, path[-1], lambda value=value: value)
    return root


def _child(container: Any, key: str | int, make: Callable[[], Any]) -> Any:
    if isinstance(container, dict):
        if key not in container:
            container[key] = make()
        return container[key]
    assert isinstance(key, int)
    container.extend([None] * (key + 1 - len(container)))
    if container[key] is None:
        container[key] = make()
    return container[key]


@dataclass(frozen=True)
class Item:
    """What a rank tells the others of one of its values; no shape and dtype if it is no tensor."""

    path: Path
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    nbytes: int = 0


def item_of(path: Path, value: Any) -> Item:
    """What there is to say of a value."""
    if not isinstance(value, Tensor):
        return Item(path)
    nbytes = value.numel() * value.element_size()
    return Item(path, tuple(value.shape), str(value.dtype), nbytes)


def whole(shape: tuple[int, ...]) -> Size:
    """The offset of a piece that is all of a tensor."""
    return Size([0] * len(shape))


def writers(found: Sequence[Mapping[str, Item]]) -> dict[str, int]:
    """Which rank writes each value, given what each has.

    A tensor that several have is written by the one with the fewest bytes so far, the largest
    first; other values by the first rank that has them. Raises ValueError if a tensor's shape or
    dtype differs between ranks.
    """
    holders: dict[str, list[int]] = {}
    for rank, items in enumerate(found):
        for name, item in items.items():
            first = found[holders.setdefault(name, [rank])[0]][name]
            if first != item:
                raise ValueError(
                    f"the value {name!r} is {_words(first)} on rank {holders[name][0]} and "
                    f"{_words(item)} on rank {rank}: give what differs between ranks a name of its "
                    "own on each"
                )
            if holders[name][-1] != rank:
                holders[name].append(rank)
    loads = [0] * len(found)
    chosen: dict[str, int] = {}
    for name in sorted(holders, key=lambda name: -found[holders[name][0]][name].nbytes):
        nbytes = found[holders[name][0]][name].nbytes
        chosen[name] = min(holders[name], key=loads.__getitem__) if nbytes else holders[name][0]
        loads[chosen[name]] += nbytes
    return chosen


def _words(item: Item) -> str:
    return "no tensor" if item.shape is None else f"a tensor of {item.dtype} {item.shape}"
