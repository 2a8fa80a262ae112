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
    """`memory`, of the leaf's shape and dtype, for the next gradient while `free`.

    `show` and `vacate` keep a gradient that somebody holds on to, after `.grad` has been set to
    None, from changing when the next one is made: it is given memory of its own then. What NumPy
    or `detach()` made of it still sees `memory`.
    """

    __slots__ = ("_leaf", "_shown", "free", "memory")

    def __init__(self, leaf: Tensor, memory: Any) -> None:
        self._leaf = weakref.ref(leaf)
        self._shown: weakref.ref[Tensor] | None = None
        self.memory = memory
        self.free = False

    def show(self, grad: Tensor | None = None) -> Tensor:
        """Note which tensor shows the memory, by default a new one, and return it."""
        shown = Tensor._wrap(self.memory) if grad is None else grad
        self._shown = weakref.ref(shown)
        return shown

    def vacate(self) -> None:
        """Get ready to write to the memory: a tensor that shows it takes a copy with it."""
        kept = None if self._shown is None else self._shown()
        if kept is not None and kept._array is self.memory:
            kept._array = self.memory.copy()
        self._shown = None

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
        self.vacate()
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
