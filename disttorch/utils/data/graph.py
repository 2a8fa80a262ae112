"""The graph of data pipes that a pipe reads from."""

from __future__ import annotations

from typing import Any

from disttorch.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe

DataPipeGraph = dict[int, tuple[Any, "DataPipeGraph"]]


def _direct_sources(value: Any, seen: set[int]) -> list[Any]:
    """The pipes in an attribute's value, however deep in lists, dicts and plain objects."""
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, (IterDataPipe, MapDataPipe)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set)):
        return [pipe for item in value for pipe in _direct_sources(item, seen)]
    return []


def traverse_dps(datapipe: Any) -> DataPipeGraph:
    """Return ``{id: (pipe, graph of its sources)}`` for a data pipe; RuntimeError for others."""
    if not isinstance(datapipe, (IterDataPipe, MapDataPipe)):
        raise RuntimeError(
            f"Expected `IterDataPipe` or `MapDataPipe`, but {type(datapipe)} is found"
        )
    return _traverse(datapipe, set())


def _traverse(pipe: Any, above: set[int]) -> DataPipeGraph:
    if id(pipe) in above:
        return {}
    above = above | {id(pipe)}
    graph: DataPipeGraph = {}
    for source in _direct_sources(list(vars(pipe).values()), set()):
        graph.update(_traverse(source, above))
    return {id(pipe): (pipe, graph)}


def traverse(datapipe: Any, only_datapipe: bool | None = None) -> DataPipeGraph:
    """The former name of `traverse_dps`."""
    return traverse_dps(datapipe)
