"""Settings applied to all pipes of a graph: shuffling, seeds, shards."""

from __future__ import annotations

import warnings
from typing import Any

from disttorch.random import Generator
from disttorch.utils.data.datapipes.iter import Shuffler
from disttorch.utils.data.graph import DataPipeGraph, traverse_dps
from disttorch.utils.data.seeding import draw_seed

__all__ = [
    "apply_random_seed",
    "apply_sharding",
    "apply_shuffle_seed",
    "apply_shuffle_settings",
    "get_all_graph_pipes",
]


def get_all_graph_pipes(graph: DataPipeGraph) -> list[Any]:
    """Each pipe of a graph once, readers before their sources."""
    found: dict[int, Any] = {}
    for key, (pipe, sources) in graph.items():
        found.setdefault(key, pipe)
        for source in get_all_graph_pipes(sources):
            found.setdefault(id(source), source)
    return list(found.values())


def apply_sharding(
    datapipe: Any, num_of_instances: int, instance_id: int, sharding_group: Any = None
) -> Any:
    """Let the sharding filters of a graph keep share `instance_id` of `num_of_instances`.

    Raises RuntimeError where one is behind another on the same path.
    """

    def visit(graph: DataPipeGraph, nearer: Any) -> None:
        for pipe, sources in graph.values():
            applied = nearer
            if callable(getattr(pipe, "apply_sharding", None)):
                if nearer is not None:
                    raise RuntimeError(
                        "Sharding twice on a single pipeline is likely unintended and will cause "
                        f"data loss. Sharding already applied to {nearer} while trying to apply "
                        f"to {pipe}"
                    )
                pipe.apply_sharding(num_of_instances, instance_id)
                applied = pipe
            visit(sources, applied)

    visit(traverse_dps(datapipe), None)
    return datapipe


def apply_shuffle_settings(datapipe: Any, shuffle: bool | None = None) -> Any:
    """Switch the shufflers of a graph on or off; one is added to a graph that has none."""
    if shuffle is None:
        return datapipe
    pipes = get_all_graph_pipes(traverse_dps(datapipe))
    shufflers = [p for p in pipes if callable(getattr(p, "set_shuffle", None))]
    if not shufflers and shuffle:
        warnings.warn(
            "`shuffle=True` was set, but the datapipe does not contain a `Shuffler`. Adding one at "
            "the end. Be aware that the default buffer size might not be sufficient for your task.",
            stacklevel=2,
        )
        datapipe = Shuffler(datapipe)
        shufflers = [datapipe]
    for pipe in shufflers:
        pipe.set_shuffle(shuffle)
    return datapipe


def apply_shuffle_seed(datapipe: Any, rng: Any) -> Any:
    """The former name of `apply_random_seed`."""
    return apply_random_seed(datapipe, rng)


def apply_random_seed(datapipe: Any, rng: Generator) -> Any:
    """Give each pipe that takes a seed one drawn from `rng`."""
    for pipe in get_all_graph_pipes(traverse_dps(datapipe)):
        if callable(getattr(pipe, "set_seed", None)):
            pipe.set_seed(draw_seed(rng))
    return datapipe
