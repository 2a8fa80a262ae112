"""Which share of a data pipe a worker reads; pipes are not imported for loaders without them."""

from __future__ import annotations

import sys
from typing import Any


def is_pipe(dataset: Any) -> bool:
    """Whether a dataset is a data pipe."""
    module = sys.modules.get("disttorch.utils.data.datapipes.datapipe")
    return module is not None and isinstance(dataset, (module.IterDataPipe, module.MapDataPipe))


def shuffled_pipe(dataset: Any, shuffle: bool | None) -> Any:
    """Switch the shufflers of a streaming pipe on or off; other datasets are left alone."""
    from disttorch.utils.data import graph_settings  # noqa: PLC0415 - rarely needed

    return graph_settings.apply_shuffle_settings(dataset, shuffle)


def share_out(dataset: Any, worker: int, n_workers: int, rank: int, world_size: int) -> None:
    """Let the sharding filters of a pipe keep the samples of one worker of one rank."""
    if is_pipe(dataset):
        from disttorch.utils.data import graph_settings  # noqa: PLC0415 - for pipes only

        n_shares = n_workers * world_size
        graph_settings.apply_sharding(dataset, n_shares, worker * world_size + rank)
