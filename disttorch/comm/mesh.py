"""A group's ranks on one host, in step: each writes its own stage, then reads those of all.

A step is a full synchronisation. Slots alternate, so a rank may write the slot of step s + 2 only
after all have posted step s + 1, that is after all have finished reading step s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

import numpy as np

from disttorch.comm import diagnosis, header
from disttorch.comm.deadline import Deadline
from disttorch.comm.diagnosis import PeerReport
from disttorch.comm.errors import (
    CollectiveMismatchError,
    CollectiveTimeoutError,
    GroupUnusableError,
    PeerLostError,
)
from disttorch.comm.header import SEQUENCE, SIGNATURE, TOKEN, EncodedCall
from disttorch.comm.status import StatusPage
from disttorch.comm.transport.arena import Array, Condition, OwnPage, Page
from disttorch.comm.transport.process import ProcessWatch
from disttorch.comm.transport.ring import RingReader, RingWriter
from disttorch.comm.transport.waiting import fence, spins_for, wait_until

_MAX_CACHED_VIEWS = 256
# Where no launcher looks for stalls, a rank says itself what it waits for, after so long.
_WARN_AFTER_S = 10.0
# A process that ends gives up its memory a moment before it counts as ended.
_END_S = 0.5

Part = tuple[int, int]
"""A part of a stage: offset and length in bytes."""


class Writer(Protocol):
    """The sending end of a stream."""

    def write(self, data: memoryview) -> int:
        """Put in as much of `data` as there is room for; returns how many bytes that was."""


class Reader(Protocol):
    """The receiving end of a stream."""

    @property
    def n_available(self) -> int:
        """How many bytes can be read now."""

    def read_into(self, space: memoryview) -> int:
        """Take out as much as there is and fits; returns how many bytes that was."""


class SharedMesh:
    """`pages` are the segments of all ranks in group order; `ranks` their global numbers.

    While `eager`, collectives spin and yield as they wait; else they nap and leave the cores free.
    Setting `closing` ends all waits with an error. `shared`: all ranks see each other's memory;
    `apart`: none does; `hosts` are the ranks of each host, which do in any case.
    """

    shared = True
    apart = False

    def __init__(
        self,
        rank: int,
        ranks: Sequence[int],
        pages: Sequence[Page],
        stage_bytes: int,
        watch: ProcessWatch,
    ) -> None:
        own = pages[rank]
        self.rank = rank
        self.size = len(ranks)
        self.hosts: tuple[tuple[int, ...], ...] = (tuple(range(self.size)),)
        self.ranks = tuple(ranks)
        self.stage_bytes = stage_bytes
        self.eager = True
        self.own = own
        self.pages = tuple(pages)
        self.sequence = 0
        self.closing = False
        self.watch = watch
        self._step = 0
        self._spins = spins_for(self.size)
        self._flag = own.flag
        self._peer_flags = [page.flag for page in pages if page is not own]
        self._header_words = [[page.header_words[i] for page in pages] for i in range(2)]
        self._stages: dict[tuple[np.dtype[Any], int | None], list[list[Array]]] = {}
        self._written: list[EncodedCall | None] = [None, None]
        self._opening: EncodedCall | None = None
        self._doing: EncodedCall | None = None
        self._page: StatusPage | None = None
        self._name = ""
        self._ticket = 0
        self._warned_of: Deadline | None = None

    def record(self, page: StatusPage, name: str) -> None:
        """Tell `page` of all collectives from now on, under the group's `name`."""
        self._page, self._name = page, name

    def open(self, call: EncodedCall, token: int = 0) -> None:
        """Begin a collective: its header goes out with the next `sync`, which compares all ranks'.

        `token` is a number that ranks tell each other without having to agree on it.
        """
        slot = (self._step + 1) & 1
        self.sequence += 1
        if self._page is not None:
            self.finish()
            self._ticket = self._page.begin(self.sequence, call, self._name)
        words = self._header_words[slot][self.rank]
        if self._written[slot] is not call:
            at = header.DESCRIPTION_AT
            self.own.headers[slot][at : at + len(call.description)] = call.description
            words[SIGNATURE] = call.signature
            self._written[slot] = call
        words[TOKEN] = token
        words[SEQUENCE] = self.sequence
        self.own.announce(self.sequence, slot)
        self._opening = self._doing = call

    def finish(self) -> None:
        """The collective that was opened last has ended well for this rank."""
        if self._ticket and self._page is not None:
            self._page.end(self._ticket)
            self._ticket = 0

    def send_only(self, parts: Sequence[Sequence[Part]]) -> None:
        """Say which parts of this rank's stage each rank needs, for those that cannot see it."""

    def writer(self, peer: int) -> Writer:
        """The sending end of the stream of bytes to a peer; raises SharedMemoryError."""
        assert isinstance(self.own, OwnPage)
        return RingWriter(self.own, self.rank, self.pages[peer], peer)

    def reader(self, peer: int) -> Reader:
        """The receiving end of the stream of bytes from a peer."""
        return RingReader(self.own, self.rank, self.pages[peer], peer)

    def stages(self, dtype: np.dtype[Any], n_items: int | None = None) -> list[Array]:
        """All ranks' staging spaces for the next step: flat, the first `n_items`, by default all.

        Write your own before `sync`; read all after it and before the `sync` after that.
        """
        views = self._stages.get((dtype, n_items))
        if views is None:
            if len(self._stages) >= _MAX_CACHED_VIEWS:
                self._stages.clear()
            views = [
                [page.stage(slot, dtype)[:n_items] for page in self.pages] for slot in range(2)
            ]
            self._stages[dtype, n_items] = views
        return views[(self._step + 1) & 1]

    def stage_items(self, dtype: np.dtype[Any]) -> int:
        """How many elements of `dtype` a stage holds."""
        return self.stage_bytes // dtype.itemsize

    def sync(self, deadline: Deadline) -> None:
        """Post this step and wait until all ranks have.

        Raises PeerLostError if a rank cannot arrive any more, CollectiveTimeoutError at the
        deadline, and CollectiveMismatchError, on all ranks alike, if the headers differ.
        """
        self._step = step = self._step + 1
        fence()
        self._flag[0] = step
        for flag in self._peer_flags:
            spins = self._spins if self.eager else 0
            while flag[0] < step:
                if spins:
                    spins -= 1
                else:
                    self._wait(flag, step, deadline)
        fence()
        if self._opening is not None:
            self._compare()

    def tokens(self) -> list[int]:
        """The tokens of all ranks; after the `sync` that followed `open`, before the next."""
        return [words[TOKEN] for words in self._header_words[self._step & 1]]

    def wait_for(
        self,
        ready: Callable[[], bool],
        deadline: Deadline,
        peers: Callable[[], Sequence[int]],
        doing: str,
        *,
        eager: bool = True,
        alive: Sequence[int] | None = None,
    ) -> None:
        """Wait until `ready()`, as long as the `peers` (group ranks) it depends on take part.

        Where those in turn depend on others, all of these are `alive`.
        """
        ready = self._taking_in(ready, peers)
        warn_at_s = monotonic() + _WARN_AFTER_S

        def check() -> None:
            if self.closing:
                raise GroupUnusableError(f"{doing} was ended by close() on this rank")
            if monotonic() >= warn_at_s and self._warned_of is not deadline:
                self._warned_of = deadline
                self._warn(doing, deadline, peers())
            # Liveness first: what a rank wrote before it ended is seen by the looks that follow.
            reports = self.reports(alive or peers(), ended=self._ended())
            if any(report.lost for report in reports) and not ready():
                # Who has come and left meanwhile is not the one that is missed.
                awaited = {self.ranks[peer] for peer in alive or peers()}
                reports = [report for report in reports if report.rank in awaited]
                if any(report.lost for report in reports):
                    self._raise_lost(doing, reports)

        if not wait_until(ready, deadline, check, eager=eager):
            reports = self.reports(peers(), ended=self._ended())
            text = diagnosis.late_text(self.ranks[self.rank], doing, deadline.timeout_s, reports)
            raise CollectiveTimeoutError(text, [report.rank for report in reports])

    def _warn(self, doing: str, deadline: Deadline, peers: Sequence[int]) -> None:
        """Say, once a call, what this rank waits for; with a launcher, that does it."""
        if not os.environ.get("DISTTORCH_RUN_DIR"):
            import logging  # noqa: PLC0415 - importing disttorch must not load it

            reports = self.reports(peers, ended=set())
            own = self.ranks[self.rank]
            text = diagnosis.waiting_text(own, doing, _WARN_AFTER_S, deadline.timeout_s, reports)
            logging.getLogger("disttorch").warning(text)

    def raise_if_left(self, peers: Sequence[int]) -> None:
        """Raise PeerLostError if one of `peers` takes part no more, now or in half a second.

        For a rank that finds gone what a peer has told it of: the peer may have left meanwhile.
        """
        with suppress(CollectiveTimeoutError):
            self.wait_for(lambda: False, Deadline.after(_END_S), lambda: peers, self.doing())

    def reports(self, peers: Sequence[int], ended: set[int]) -> list[PeerReport]:
        """What is known of some group ranks."""
        return [self._report(peer, ended) for peer in peers]

    def doing(self) -> str:
        """The current or latest collective of this rank, in words."""
        return self._doing.call.describe(self.sequence) if self._doing else "setting up the group"

    def leave(self, condition: Condition, text: str = "") -> None:
        """Tell the other ranks that this one takes part no more; only the first reason counts."""
        if self.pages and self.own.condition()[0] is Condition.ACTIVE:
            self.own.leave(condition, text)

    def forget(self) -> None:
        """In a forked child, which is not the rank: let go of what would speak for it."""

    def close(self) -> None:
        """Forget all views and close the descriptor; the memory goes with the last of them."""
        self.own.close()
        self.pages = ()
        self._peer_flags.clear()
        self._header_words.clear()
        self._stages.clear()
        del self.own, self._flag

    def _wait(self, flag: memoryview, step: int, deadline: Deadline) -> None:
        self.wait_for(
            lambda: flag[0] >= step,
            deadline,
            lambda: self._missing(step),
            self.doing(),
            eager=self.eager,
        )

    def _taking_in(
        self, ready: Callable[[], bool], peers: Callable[[], Sequence[int]]
    ) -> Callable[[], bool]:
        """What to ask while waiting for the `peers`: `ready` itself, as they write to memory."""
        return ready

    def _ended(self) -> set[int]:
        return self.watch.ended()

    def _missing(self, step: int) -> list[int]:
        return [rank for rank, page in enumerate(self.pages) if page.flag[0] < step]

    def _report(self, peer: int, ended: set[int]) -> PeerReport:
        page, rank = self.pages[peer], self.ranks[peer]
        condition, text = page.condition()
        latest = page.latest()
        doing = header.decode(latest[1]).describe(latest[0]) if latest else ""
        return PeerReport(rank, self.watch.pid(rank), rank in ended, condition, text, doing)

    def _raise_lost(self, doing: str, reports: Sequence[PeerReport]) -> None:
        text = diagnosis.lost_text(self.ranks[self.rank], doing, reports)
        raise PeerLostError(text, [report.rank for report in reports if report.lost])

    def _compare(self) -> None:
        assert self._opening is not None
        signature = self._opening.signature
        self._opening = None
        for words in self._header_words[self._step & 1]:
            if words[SIGNATURE] != signature:
                self._raise_mismatch()

    def _raise_mismatch(self) -> None:
        slot = self._step & 1
        calls = [header.decode(page.headers[slot]) for page in self.pages]
        raise CollectiveMismatchError(header.table(self.ranks, calls, self.sequence))
