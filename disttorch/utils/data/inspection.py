"""What a loader can see in a dataset that will go wrong in its workers: said once, in words."""

from __future__ import annotations

import random
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from disttorch.random import Generator, default_generator

_MANY_OBJECTS = 100_000
_MAX_DEPTH = 4
_FEW = 20  # of a container's items are looked into


def warn_of_trouble(dataset: Any) -> None:
    """Warn of random generators within a dataset, and of many Python objects.

    Every worker has a copy of a generator in the same state; the objects are copied page by page
    into every worker as it reads them.
    """
    seen: set[int] = set()
    for path, value in _walk(dataset, "dataset", 0, seen):
        if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            _warn_of_generator(path, value)
        elif isinstance(value, Generator) and value is not default_generator:
            _warn_of_generator(path, value)
        elif type(value) in {list, dict, tuple, set} and len(value) > _MANY_OBJECTS:
            if _holds_objects(value):
                warnings.warn(
                    f"{path} holds {len(value):,} Python objects: every worker process comes to "
                    "have a copy of them, as reading an object writes to its memory. "
                    "disttorch.utils.data.SharedList(...) keeps one copy for all",
                    stacklevel=5,
                )


def _warn_of_generator(path: str, value: Any) -> None:
    warnings.warn(
        f"{path} is a {type(value).__name__}: every worker has a copy of it and draws the same "
        "numbers, again in each pass. Seed one in worker_init_fn with "
        "get_worker_info().seed, or draw from the global generators, which are seeded for each "
        "worker",
        stacklevel=6,
    )


def _holds_objects(container: Any) -> bool:
    """Whether its first item is not one of the few small numbers that exist once."""
    first = next(iter(container.values() if isinstance(container, dict) else container))
    return not isinstance(first, (bool, type(None)))


def _walk(value: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The attributes of a dataset and what they hold, not far down."""
    if id(value) in seen or depth > _MAX_DEPTH:
        return
    seen.add(id(value))
    yield path, value
    if isinstance(value, Mapping) and len(value) <= _FEW:
        parts = [(f"[{k!r}]", v) for k, v in value.items()]
    elif isinstance(value, (list, tuple)) and len(value) <= _FEW:
        parts = [(f"[{i}]", v) for i, v in enumerate(value)]
    elif isinstance(value, (type, types.ModuleType)) or callable(getattr(value, "__array__", None)):
        return
    else:
        parts = [(f".{k}", v) for k, v in getattr(value, "__dict__", {}).items()]
    for name, part in parts:
        yield from _walk(part, path + name, depth + 1, seen)
