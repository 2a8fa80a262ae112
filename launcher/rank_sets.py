"""Sets of ranks and streams as the command line writes them: `0-3,8`, `0-15:out`, `all:err`."""

from collections.abc import Iterable
from dataclasses import dataclass

STDOUT, STDERR = 1, 2
BOTH = frozenset((STDOUT, STDERR))
STREAMS: dict[str, frozenset[int]] = {
    "none": frozenset(),
    "out": frozenset((STDOUT,)),
    "err": frozenset((STDERR,)),
    "both": BOTH,
    # torchrun's numbers
    "0": frozenset(),
    "1": frozenset((STDOUT,)),
    "2": frozenset((STDERR,)),
    "3": BOTH,
}
ALL = ("all", "*")


@dataclass(frozen=True)
class StreamSet:
    """Some streams of some ranks: pairs of (first rank, last rank, streams); later pairs win.

    A last rank of None is the highest there is.
    """

    pairs: tuple[tuple[int, int | None, frozenset[int]], ...] = ()

    def has(self, rank: int, stream: int) -> bool:
        """True if this stream (1 or 2) of this rank is meant."""
        streams: frozenset[int] = frozenset()
        for first, last, named in self.pairs:
            if first <= rank and (last is None or rank <= last):
                streams = named
        return stream in streams


EVERYTHING = StreamSet(((0, None, BOTH),))
NOTHING = StreamSet()


def parse_ranks(text: str) -> tuple[tuple[int, int | None], ...]:
    """The ranges in `0-3,8` or `all`, as (first, last); raises ValueError for anything else."""
    return tuple(_range(part) for part in text.split(","))


def parse_shown(text: str) -> StreamSet:
    """`0`, `0-3,8:err` or `all:out`: ranks, each list of them with the streams it has to show."""
    return _parse(text if ":" in text else f"{text}:both")


def parse_streams(text: str) -> StreamSet:
    """`both` or `3` for all ranks, or a map: `0-15:out,16:both`, torchrun's `0:1,1:2`."""
    return _parse(text if ":" in text else f"all:{text}")


def _parse(text: str) -> StreamSet:
    pairs: list[tuple[int, int | None, frozenset[int]]] = []
    waiting: list[tuple[int, int | None]] = []  # ranks whose streams stand further to the right
    for part in text.split(","):
        ranks, colon, name = part.partition(":")
        waiting.append(_range(ranks))
        if colon:
            streams = STREAMS.get(name.strip().lower())
            if streams is None:
                raise ValueError(f"{name!r} is none of out, err, both, none")
            pairs += [(first, last, streams) for first, last in waiting]
            waiting = []
    if waiting:
        raise ValueError("the last ranks lack their streams: out, err, both or none")
    return StreamSet(tuple(pairs))


def _range(text: str) -> tuple[int, int | None]:
    text = text.strip()
    if text in ALL:
        return 0, None
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise ValueError(f"{text!r} is no rank and no range such as 0-3")
    if dash and int(last) < int(first):
        raise ValueError(f"the range {text} is empty")
    return int(first), int(last) if dash else int(first)


def ranges_text(ranks: Iterable[int]) -> str:
    """`3` or `0-3,5`."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
