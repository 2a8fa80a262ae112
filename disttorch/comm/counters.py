"""A few numbers that a rank counts and its launcher reads: steps, samples, time spent on data.

They lie in memory that the launcher makes before it forks the ranks. Without a launcher `page` is
None and nothing is counted; whoever counts asks for that first, which costs nothing to speak of.
"""

from __future__ import annotations

import mmap
import os
from time import monotonic_ns

from disttorch.comm import phases

STEPS, SAMPLES, DATA_NS = range(3)
_NAMES = ("steps", "samples", "data_ns")
_PAGE_BYTES = 64


class CounterBoard:
    """The numbers of all ranks of a host, in memory that forked processes share."""

    def __init__(self, n_ranks: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, n_ranks * _PAGE_BYTES))

    def page(self, index: int) -> CounterPage:
        """The page of the `index`-th rank of this host, to count in."""
        return CounterPage(self._words(index))

    def read(self, index: int) -> dict[str, int]:
        """What the `index`-th rank has counted, by name."""
        return dict(zip(_NAMES, self._words(index), strict=False))

    def clear(self) -> None:
        """Start again from zero, with ranks that are started again."""
        self._memory[:] = bytes(len(self._memory))

    def _words(self, index: int) -> memoryview:
        return self._memory[index * _PAGE_BYTES : (index + 1) * _PAGE_BYTES].cast("Q")


class CounterPage:
    """The numbers of this rank, to count up."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self.pid = os.getpid()

    def add(self, word: int, amount: int) -> None:
        """Count STEPS, SAMPLES or DATA_NS up; processes forked from the rank count nothing."""
        if self.pid == os.getpid():
            self._words[word] += amount


def batch_came(asked_ns: int, n_samples: int) -> None:
    """Count a batch of about `n_samples` and the time since the rank asked for it.

    The span is noted also without a launcher: `step_report` works in any process.
    """
    phases.note(phases.DATA, asked_ns / 1e9)
    if page is not None:
        page.add(DATA_NS, monotonic_ns() - asked_ns)
        page.add(SAMPLES, n_samples)


page: CounterPage | None = None


def count_in(own: CounterPage | None) -> None:
    """From now on this process counts in `own`; None for not at all."""
    global page  # noqa: PLW0603 - one rank a process, and every step has to ask
    page = own
