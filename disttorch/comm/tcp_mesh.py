"""The mesh of several hosts: shared pages within one, copies of pages between them.

Of a peer on another host every rank holds a copy of its page, kept up by messages. A step sends
each such peer the parts of this rank's stage that it needs (`send_only`) and waits for theirs, so
all that is written for shared memory runs here unchanged, with the traffic of its algorithm.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveTimeoutError, PeerLostError, in_words
from disttorch.comm.header import HEADER_BYTES, SEQUENCE, EncodedCall
from disttorch.comm.mesh import Part, Reader, SharedMesh, Writer
from disttorch.comm.transport.arena import Array, Condition, Page
from disttorch.comm.transport.process import ProcessWatch
from disttorch.comm.transport.tcp import Kind, Message, Wire

_OFFSETS = struct.Struct("<q")
# Of a stream, sent as one message; and told as taken, at the least.
_CHUNK_BYTES = 1 << 20
# Of a stream, sent and not yet taken: a rank that leaves must have it out within its linger.
_WINDOW_BYTES = 4 << 20
_NAP_MS = 1
# For a peer that waits for another rank to say so, after both have waited in vain.
_LAST_WORDS_S = 0.2


class TcpMesh(SharedMesh):
    """Ranks on several `hosts`, joined by a `Wire` to those on others than this one.

    `pages` are those of all ranks: shared with ranks on this host, copies of the others'.
    """

    shared = False

    def __init__(
        self,
        ranks: Sequence[int],
        wire: Wire,
        addresses: Sequence[str],
        hosts: tuple[tuple[int, ...], ...],
        pages: Sequence[Page],
        stage_bytes: int,
        watch: ProcessWatch,
    ) -> None:
        super().__init__(wire.rank, ranks, pages, stage_bytes, watch)
        self.hosts = hosts
        self.apart = len(hosts) == len(ranks)
        self.wire = wire
        self.addresses = tuple(addresses)
        self._routes: Sequence[Sequence[Part]] | None = None
        self._n_used = 0
        self._opened = False
        self._streams: dict[int, _Inflow] = {
            peer: _Inflow() for members in hosts if self.rank not in members for peer in members
        }
        self._pieces: dict[int, deque[memoryview]] = {peer: deque() for peer in self._streams}
        # Two threads that take in messages must not overtake each other.
        self._taking = threading.Lock()

    def open(self, call: EncodedCall, token: int = 0) -> None:
        """As in shared memory; the header goes out with the next step."""
        super().open(call, token)
        self._opened = True

    def stages(self, dtype: np.dtype[Any], n_items: int | None = None) -> list[Array]:
        """As in shared memory; what is not asked for with `n_items` or `send_only` is all sent."""
        n_used = self.stage_bytes if n_items is None else n_items * dtype.itemsize
        self._n_used = max(self._n_used, n_used)
        return super().stages(dtype, n_items)

    def send_only(self, parts: Sequence[Sequence[Part]]) -> None:
        """Each rank needs only these parts, (offset, bytes), of this rank's stage at this step."""
        self._routes = parts

    def sync(self, deadline: Deadline) -> None:
        """Send this step's parts to all and wait for theirs; errors as in shared memory."""
        self._post()
        super().sync(deadline)

    def post(self, peer: int, piece: Array) -> None:
        """Send a flat array to a peer on another host, which is to `take` it in this collective.

        It is not copied, so it must stay unchanged until the peer has it. Does not block.
        """
        self.wire.send(peer, Kind.PIECE, [piece.view(np.uint8).data], self.sequence)

    def take(self, peer: int, nbytes: int, deadline: Deadline) -> memoryview:
        """The next piece from a peer on another host, of `nbytes`; errors as those of `sync`."""
        pieces = self._pieces[peer]
        while True:
            if not pieces:
                self.pump()
            if not pieces:
                self._wait_for_piece(peer, pieces, deadline)
            piece = pieces.popleft()
            if piece.nbytes == nbytes:
                return piece
            self.wire.drop()

    def _wait_for_piece(self, peer: int, pieces: deque[memoryview], deadline: Deadline) -> None:
        doing, rank = self.doing(), self.ranks[peer]

        def wait(ready: Callable[[], bool], deadline: Deadline, alive: tuple[int, ...]) -> None:
            self.wait_for(ready, deadline, lambda: [peer], doing, eager=self.eager, alive=alive)

        try:
            # A rank that the peer waits for may have ended.
            wait(lambda: bool(pieces), deadline, tuple(self._streams))
        except PeerLostError as lost:
            if rank in lost.ranks:
                raise
            raise PeerLostError(f"{lost} It waited there for rank {rank}.", lost.ranks) from None
        except CollectiveTimeoutError as late:
            # Or not come: then the peer gives up as well, and all say at once whom they missed.
            self.leave(Condition.GAVE_UP, in_words(late))
            try:
                wait(lambda: False, Deadline.after(_LAST_WORDS_S), ())
            except CollectiveTimeoutError:
                raise late from None

    def leave(self, condition: Condition, text: str = "") -> None:
        """Tell the other ranks that this one takes part no more; only the first reason counts."""
        if self.pages and self.own.condition()[0] is Condition.ACTIVE:
            self.own.leave(condition, text)
            for peer in self._streams.keys() - self._gone():
                self.wire.send(peer, Kind.LEAVE, [text.encode(errors="replace")], int(condition))
        if condition is Condition.EXITED:
            # The process ends, and with it what it has queued and not yet sent.
            self.wire.close(self._gone())

    def close(self) -> None:
        """Forget all views and close the sockets."""
        self.pump()
        with self._taking:
            gone = self._gone()
            super().close()
        self.wire.close(gone)

    def forget(self) -> None:
        """In a forked child, which is not the rank: let go of its connections."""
        self.wire.forget()

    def writer(self, peer: int) -> Writer:
        """The sending end of the stream of bytes to a peer."""
        return TcpWriter(self, peer) if peer in self._streams else super().writer(peer)

    def reader(self, peer: int) -> Reader:
        """The receiving end of the stream of bytes from a peer."""
        if peer not in self._streams:
            return super().reader(peer)
        return TcpReader(self, peer, self._streams[peer])

    def pump(self) -> None:
        """Take in what has come; does not block."""
        with self._taking:
            for message in self.wire.receive() if self.pages else ():
                if message.sender not in self._streams:
                    # A rank on this host has nothing to say by wire.
                    self.wire.drop()
                elif message.kind is Kind.STREAM:
                    self._streams[message.sender].add(message.frames)
                elif message.kind is Kind.TAKEN:
                    self._take_taken(message)
                elif message.kind is Kind.PIECE:
                    self._take_piece(message)
                elif message.kind is Kind.STEP:
                    self._take_step(message)
                else:
                    self._take_leave(message)

    def _taking_in(
        self, ready: Callable[[], bool], peers: Callable[[], Sequence[int]]
    ) -> Callable[[], bool]:
        """`ready` after messages were taken in."""

        def pumped() -> bool:
            self.pump()
            if ready():
                return True
            if not self._streams.keys().isdisjoint(peers()):
                # Not to take the core from the thread that deciphers what is waited for.
                self.wire.wait(_NAP_MS)
                self.pump()
            return ready()

        return pumped

    def _gone(self) -> set[int]:
        """The peers on other hosts that have left; one that gave up may still listen."""
        here = (Condition.ACTIVE, Condition.GAVE_UP)
        pages = self.pages
        return {p for p in self._streams if pages and pages[p].condition()[0] not in here}

    def _ended(self) -> set[int]:
        cut = {self.ranks[peer] for peer in self.wire.cut_off()}
        self.pump()
        return super()._ended() | cut

    def _post(self) -> None:
        step = self._step + 1
        slot = step & 1
        header = bytes(self.own.headers[slot]) if self._opened else b""
        stage, routes = self.own.stage_bytes_of(slot), self._routes
        everything = [(0, self._n_used)] if self._n_used else []
        for peer in self._streams:
            parts = everything if routes is None else [part for part in routes[peer] if part[1]]
            frames: list[Any] = [header, b"".join(_OFFSETS.pack(at) for at, _ in parts)]
            frames += [stage[at : at + nbytes] for at, nbytes in parts]
            self.wire.send(peer, Kind.STEP, frames, step)
        self._opened, self._routes, self._n_used = False, None, 0

    def _take_piece(self, message: Message) -> None:
        # All have opened a collective before the first piece of it is sent.
        if message.argument == self.sequence and len(message.frames) == 1:
            self._pieces[message.sender].append(message.frames[0])
        else:
            self.wire.drop()

    def _take_taken(self, message: Message) -> None:
        word = self.pages[message.sender].received(self.rank)
        if word[0] <= message.argument <= self.own.sent(message.sender)[0]:
            word[0] = message.argument
        else:
            self.wire.drop()

    def _take_leave(self, message: Message) -> None:
        try:
            condition = Condition(message.argument)
        except ValueError:
            self.wire.drop()
            return
        text = bytes(message.frames[0]).decode(errors="replace") if message.frames else ""
        self.pages[message.sender].leave(condition, text)

    def _take_step(self, message: Message) -> None:
        page, step = self.pages[message.sender], message.argument
        frames = message.frames
        offsets = frames[1] if len(frames) > 1 else memoryview(b"")
        n_parts = len(frames) - 2
        fits = (
            step == page.flag[0] + 1
            and n_parts >= 0
            and frames[0].nbytes in (0, HEADER_BYTES)
            and offsets.nbytes == n_parts * _OFFSETS.size
        )
        places = [at for (at,) in _OFFSETS.iter_unpack(offsets)] if fits else []
        pairs = list(zip(places, frames[2:], strict=False))
        if not fits or any(at < 0 or at + f.nbytes > self.stage_bytes for at, f in pairs):
            self.wire.drop()
            return
        slot = step & 1
        if frames[0].nbytes:
            page.headers[slot][:] = frames[0]
            page.announce(page.header_words[slot][SEQUENCE], slot)
        stage = page.stage_bytes_of(slot)
        for at, frame in pairs:
            stage[at : at + frame.nbytes] = frame
        page.flag[0] = step


class _Inflow:
    """What came of a stream: added to by one thread, taken from by one, which may be another."""

    def __init__(self) -> None:
        self.frames: deque[memoryview] = deque()
        self.n_came = 0

    def add(self, frames: Sequence[memoryview]) -> None:
        """Add what came; counted last, so that what is counted is there."""
        self.frames.extend(frames)
        self.n_came += sum(frame.nbytes for frame in frames)


class TcpWriter:
    """A stream of bytes to a peer, as `RingWriter`; what the peer has not taken is bounded."""

    def __init__(self, mesh: TcpMesh, peer: int) -> None:
        self._wire = mesh.wire
        self._peer = peer
        self._sent = mesh.own.sent(peer)
        self._taken = mesh.pages[peer].received(mesh.rank)

    def write(self, data: memoryview) -> int:
        """Queue a copy of as much of `data` as there is room for; returns how many bytes."""
        n = min(data.nbytes, _WINDOW_BYTES - (self._sent[0] - self._taken[0]))
        # Counted first: the peer may have taken it before this goes on.
        self._sent[0] += n
        for at in range(0, n, _CHUNK_BYTES):
            chunk = bytes(data[at : min(n, at + _CHUNK_BYTES)])
            self._wire.send(self._peer, Kind.STREAM, [chunk])
        return n


class TcpReader:
    """A stream of bytes from a peer, as `RingReader`."""

    def __init__(self, mesh: TcpMesh, peer: int, inflow: _Inflow) -> None:
        self._mesh = mesh
        self._peer = peer
        self._inflow = inflow
        self._taken = mesh.own.received(peer)
        self._told = 0

    @property
    def n_available(self) -> int:
        """How many bytes can be read now."""
        self._mesh.pump()
        return self._inflow.n_came - self._taken[0]

    def read_into(self, space: memoryview) -> int:
        """Take out as much as there is and fits; returns how many bytes that was."""
        n, frames = 0, self._inflow.frames
        while n < space.nbytes and frames:
            frame = frames[0]
            part = frame[: space.nbytes - n]
            space[n : n + part.nbytes] = part
            n += part.nbytes
            if part.nbytes == frame.nbytes:
                frames.popleft()
            else:
                frames[0] = frame[part.nbytes :]
        self._taken[0] += n
        if self._taken[0] - self._told >= _CHUNK_BYTES:
            self._told = self._taken[0]
            self._mesh.wire.send(self._peer, Kind.TAKEN, [], self._told)
        return n
