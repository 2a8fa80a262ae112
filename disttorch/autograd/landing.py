"""Memory in which a leaf's gradient is made, so that it need not be copied there afterwards.

A formula that can compute into a given array asks `Op.landing` for one. What lands becomes `.grad`
itself: `DistributedDataParallel` offers the leaf's place in a bucket that the ranks reduce.
"""

from __future__ import annotations

import weakref
from typing import Any

from disttorch.autograd.engine import accumulates_into_all_leaves
from disttorch.autograd.node import accumulator_of
from disttorch.tensor import Tensor


class Landing:
    """`memory`, of the leaf's shape and dtype, for the next gradient while `free`."""

    __slots__ = ("_leaf", "free", "memory")

    def __init__(self, leaf: Tensor, memory: Any) -> None:
        self._leaf = weakref.ref(leaf)
        self.memory = memory
        self.free = False

    def take(self) -> Any:
        """Return the memory, once, or None if a gradient must not be made there.

        That is the case if it is to be added to another, or is none for `.grad`.
        """
        leaf = self._leaf()
        if not self.free or leaf is None or leaf._grad is not None:
            return None
        array = leaf._array  # `leaf.data` may have been replaced
        if array.shape != self.memory.shape or array.dtype != self.memory.dtype:
            return None
        if not accumulates_into_all_leaves():
            return None
        self.free = False
        return self.memory

    def withdraw(self) -> None:
        """Take the offer back, unless another has taken its place."""
        leaf = self._leaf()
        if leaf is not None and accumulator_of(leaf).landing is self:
            accumulator_of(leaf).landing = None


def land_in(leaf: Tensor, memory: Any) -> Landing:
    """Offer `memory` for the gradients of `leaf`; the offer holds while `.free` is set."""
    landing = accumulator_of(leaf).landing = Landing(leaf, memory)
    return landing
