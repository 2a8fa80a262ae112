"""What this rank's time went into: the latest spans of data loading, backward and optimiser.

Whoever does one of these notes it here once a step, which costs 0.2 us; `step_report` reads them
beside the collectives of the status page. Times are seconds of the host's monotonic clock.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from time import monotonic

DATA, BACKWARD, OPTIMISER = 1, 2, 3
_MOST_SPANS = 4096

Span = tuple[float, float]

# Three numbers a span: its phase, begin and end. Objects would be garbage for the collector.
_spans = array("d", bytes(24 * _MOST_SPANS))
_places = itertools.cycle(range(0, 3 * _MOST_SPANS, 3))


def note(phase: int, begun_s: float) -> None:
    """A span of `phase` that began at `begun_s` ends now; safe from any thread."""
    at = next(_places)
    _spans[at + 2] = monotonic()
    _spans[at + 1] = begun_s
    _spans[at] = phase


def spans(phase: int) -> list[Span]:
    """The latest spans of a phase, oldest first."""
    return sorted(
        (_spans[at + 1], _spans[at + 2]) for at in range(0, len(_spans), 3) if _spans[at] == phase
    )


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
