"""What the pipes that shuffle have in common."""

from __future__ import annotations

import random
from typing import Self

from disttorch.utils.data.seeding import draw_seed


class RandomOrder:
    """A pipe whose order is that of `_rng`, seeded for each pass, unless switched off."""

    def __init__(self) -> None:
        self._enabled = True
        self._seed: int | None = None
        self._rng = random.Random()

    def set_shuffle(self, shuffle: bool = True) -> Self:
        """Switch shuffling on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> Self:
        """Choose the next pass's order; otherwise the default generator does."""
        self._seed = seed
        return self

    def reset(self) -> None:
        """Seed the next pass."""
        if self._enabled:
            self._rng.seed(draw_seed(None) if self._seed is None else self._seed)
            self._seed = None
