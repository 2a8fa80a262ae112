"""How many batches are made ahead: as many as were asked for, more of those that go in no time."""

from __future__ import annotations

import time

_SPAN_S = 4e-3  # what is under way lasts so long
_EVERY = 8  # batches between two looks at the clock


class Lookahead:
    """At least `n_least` batches under way; more while they are taken quickly.

    Many batches at once are asked for together and answered together, so that processes wake each
    other up less often. Which batches there are, and who makes them, does not depend on it.
    """

    def __init__(self, n_least: int) -> None:
        self._n_least = n_least
        self.n = n_least
        self._n_delivered = 0
        self._since_s = time.monotonic()

    def n_wanted(self, n_under_way: int) -> int:
        """How many batches to ask for now: none, or as many as there is room for."""
        group = 1 if self.n == self._n_least else max(1, self.n // 4)
        room = self.n - n_under_way
        return room if room >= group else 0

    def delivered(self, n_most: int) -> None:
        """Count a batch that was taken; never more than `n_most` are to be under way."""
        self._n_delivered += 1
        self.n = max(self._n_least, min(n_most, self.n))
        if self._n_delivered % _EVERY or n_most == self._n_least:
            return
        now_s = time.monotonic()
        each_s = max(1e-6, (now_s - self._since_s) / _EVERY)
        self._since_s = now_s
        self.n = max(self._n_least, min(n_most, int(_SPAN_S / each_s)))
