"""What `DistributedDataParallel` does on ranks that have run out of data."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.distributed.algorithms.join import JoinHook
from disttorch.nn.parallel.replicas import share_buffers


def tell_the_joined(group: Any, *, active: bool, buffers: bool) -> tuple[int, int, bool]:
    """Exchange who still has data, before each forward pass that is synchronised.

    Returns the last rank that has, how many have, and whether buffers are broadcast.
    """
    own = np.array([active, active and buffers], np.uint8)
    every = [np.empty_like(own) for _ in range(group.size)]
    group.all_gather(every, own)
    ranks = [rank for rank, flags in enumerate(every) if flags[0]]
    return (ranks[-1] if ranks else -1), len(ranks), any(bool(flags[1]) for flags in every)


class DDPJoinHook(JoinHook):
    """Shadows the collectives of a model's steps, then takes the last rank's model."""

    def __init__(self, model: Any, divide_by_initial_world_size: bool) -> None:
        model._join_config.divide_by_initial_world_size = divide_by_initial_world_size
        self.model = model
        self.divide_by_initial_world_size = divide_by_initial_world_size

    def main_hook(self) -> None:
        """Shadow one forward and backward pass."""
        model = self.model
        root, n_active, buffers = tell_the_joined(model._group, active=False, buffers=False)
        if buffers:
            share_buffers(model._group, model._buffer_places, root)
        reducer = model._reducer
        reducer.n_averaged = None if self.divide_by_initial_world_size else n_active
        reducer.shadow()

    def post_hook(self, is_last_joiner: bool) -> None:
        """Take parameters and buffers from a rank that finished last."""
        group = self.model._group
        if self.model._reducer is not None:
            self.model._reducer.n_averaged = None
        root = tell_the_joined(group, active=is_last_joiner, buffers=False)[0]
        self.model._sync_from(root)
