"""What this rank's time went into: the latest spans of data loading, backward and optimiser.

Whoever does one of these notes it here once a step, which costs 0.2 us; `step_report` reads them
beside the collectives of the status page. Times are seconds of the host's monotonic clock.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from time import monotonic

DATA, BACKWARD, OPTIMISER, AVERAGING = 1, 2, 3, 4
"""AVERAGING is the end of backward, when all that is left to do is to wait for other ranks."""
_MOST_SPANS = 4096
_WORDS = 4

Span = tuple[float, float]

# Phase, begin, end, who: numbers, as objects would be garbage for the collector.
_spans = array("d", bytes(8 * _WORDS * _MOST_SPANS))
_places = itertools.cycle(range(0, _WORDS * _MOST_SPANS, _WORDS))


def note(phase: int, begun_s: float, who: int = 0) -> None:
    """A span of `phase` that began at `begun_s` ends now; safe from any thread.

    `who` tells apart those that do the same, such as two optimisers.
    """
    at = next(_places)
    _spans[at + 3] = who
    _spans[at + 2] = monotonic()
    _spans[at + 1] = begun_s
    _spans[at] = phase


def spans(phase: int) -> list[Span]:
    """The latest spans of a phase, oldest first."""
    return sorted(
        (_spans[at + 1], _spans[at + 2])
        for at in range(0, len(_spans), _WORDS)
        if _spans[at] == phase
    )


def step_ends() -> list[float]:
    """When the latest steps ended: with each step of the optimiser that has stepped last.

    So a step of a job with several optimisers is what lies between two steps of the same.
    """
    steps = sorted(
        (_spans[at + 2], _spans[at + 3])
        for at in range(0, len(_spans), _WORDS)
        if _spans[at] == OPTIMISER
    )
    return [ended_s for ended_s, who in steps if who == steps[-1][1]]


def clear() -> None:
    """Forget all spans."""
    _spans[:] = array("d", bytes(8 * len(_spans)))


def merged(of: Iterable[Span], begun_s: float, ended_s: float) -> list[Span]:
    """Spans cut to a window, in order and without overlap."""
    out: list[Span] = []
    for begin, end in sorted((max(b, begun_s), min(e, ended_s)) for b, e in of):
        if end <= begin:
            continue
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return out


def length_s(of: Sequence[Span]) -> float:
    """Seconds in spans that do not overlap."""
    return sum(end - begin for begin, end in of)


def common(first: Sequence[Span], second: Sequence[Span]) -> list[Span]:
    """What two lists of spans from `merged` have in common."""
    both = [(max(a, c), min(b, d)) for a, b in first for c, d in second if a < d and c < b]
    return sorted(both)
