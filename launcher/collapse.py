"""Equal lines of several ranks become one, as long as they come within a moment of each other.

Pure: lines and times go in, lines and their ranks come out. Lines of one rank keep their order:
a line joins an equal one that waits only if its rank has said nothing that waits behind that one.
"""

import math
from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 0.1
# A burst is passed on as it is: looking at each of a million lines would hold up the ranks.
MAX_BURST_LINES = 32
MAX_WAITING = 1024


@dataclass
class _Waiting:
    stream: int
    line: bytes
    number: int
    at_s: float
    ranks: set[int] = field(default_factory=set)


Ready = tuple[frozenset[int], int, bytes]


class Collapser:
    """Holds each line back for WINDOW_S, or until all `n_ranks` have said it."""

    def __init__(self, n_ranks: int) -> None:
        self._n_ranks = n_ranks
        self._waiting: deque[_Waiting] = deque()
        self._number = 0
        self._latest: dict[int, int] = {}  # rank -> number of its line that waits furthest back
        self._by_line: dict[tuple[int, bytes], _Waiting] = {}

    @property
    def due_s(self) -> float:
        """When `ready` has something to give; infinite if nothing waits."""
        return self._waiting[0].at_s + WINDOW_S if self._waiting else math.inf

    def feed(self, rank: int, stream: int, lines: bytes, now_s: float) -> list[Ready]:
        """Take whole lines of a rank; returns what is to be written now."""
        if lines.count(b"\n") > MAX_BURST_LINES:
            return [*self.flush(), (frozenset((rank,)), stream, lines)]
        for line in _split(lines):
            self._add(rank, stream, line, now_s)
        return self.flush() if len(self._waiting) > MAX_WAITING else self.ready(now_s)

    def ready(self, now_s: float) -> list[Ready]:
        """What need not wait any longer."""
        out: list[Ready] = []
        while self._waiting:
            first = self._waiting[0]
            if len(first.ranks) < self._n_ranks and first.at_s + WINDOW_S > now_s:
                break
            out.append(self._pop())
        return out

    def flush(self) -> list[Ready]:
        """All that waits."""
        return [self._pop() for _ in range(len(self._waiting))]

    def _add(self, rank: int, stream: int, line: bytes, now_s: float) -> None:
        equal = self._by_line.get((stream, line))
        if equal is None or rank in equal.ranks or self._latest.get(rank, -1) > equal.number:
            self._number += 1
            equal = _Waiting(stream, line, self._number, now_s)
            self._waiting.append(equal)
            self._by_line[stream, line] = equal
        equal.ranks.add(rank)
        self._latest[rank] = equal.number

    def _pop(self) -> Ready:
        first = self._waiting.popleft()
        if self._by_line.get((first.stream, first.line)) is first:
            del self._by_line[first.stream, first.line]
        return frozenset(first.ranks), first.stream, first.line


def _split(lines: bytes) -> list[bytes]:
    return [line + b"\n" for line in lines[:-1].split(b"\n")]
