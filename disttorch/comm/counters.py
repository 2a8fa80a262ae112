"""A few numbers that a rank counts and its launcher reads: steps, samples, time spent on data.

They lie in memory that the launcher makes before it forks the ranks. Without a launcher `page` is
None and nothing is counted; whoever counts asks for that first, which costs nothing to speak of.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from time import monotonic_ns
from typing import TypeVar

from disttorch.comm import phases

T = TypeVar("T")
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


def counted(batches: Iterable[T], n_samples: int) -> Iterator[T]:
    """`batches`, each of about `n_samples`, counted with the time that the rank waits for them."""
    iterator = iter(batches)
    while True:
        asked_ns = monotonic_ns()
        try:
            batch = next(iterator)
        except StopIteration:
            return
        phases.note(phases.DATA, asked_ns / 1e9)
        if page is not None:
            page.add(DATA_NS, monotonic_ns() - asked_ns)
            page.add(SAMPLES, n_samples)
        yield batch
        # Kept any longer, it would keep its memory from the next one.
        del batch


page: CounterPage | None = None


def count_in(own: CounterPage | None) -> None:
    """From now on this process counts in `own`; None for not at all."""
    global page  # noqa: PLW0603 - one rank a process, and every step has to ask
    page = own
