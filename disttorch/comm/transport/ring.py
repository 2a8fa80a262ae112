"""A stream of bytes from one rank to another through a ring in the sender's segment."""

from __future__ import annotations

from disttorch.comm.transport.arena import OwnPage, Page
from disttorch.comm.transport.waiting import fence


class RingWriter:
    """The sending end; never blocks."""

    def __init__(self, own: OwnPage, own_rank: int, peer: Page, peer_rank: int) -> None:
        own.reserve_ring(peer_rank)
        self._ring = own.ring(peer_rank)
        self._sent_word = own.sent(peer_rank)
        self._received_word = peer.received(own_rank)
        self._sent = self._sent_word[0]

    def write(self, data: memoryview) -> int:
        """Put in as much of `data` as there is room for; returns how many bytes that was."""
        size = self._ring.nbytes
        n = min(data.nbytes, size - (self._sent - self._received_word[0]))
        if n == 0:
            return 0
        at = self._sent % size
        first = min(n, size - at)
        self._ring[at : at + first] = data[:first]
        if n > first:
            self._ring[: n - first] = data[first:n]
        fence()
        self._sent += n
        self._sent_word[0] = self._sent
        return n


class RingReader:
    """The receiving end; never blocks."""

    def __init__(self, own: Page, own_rank: int, peer: Page, peer_rank: int) -> None:
        self._ring = peer.ring(own_rank)
        self._sent_word = peer.sent(own_rank)
        self._received_word = own.received(peer_rank)
        self._received = self._received_word[0]

    @property
    def n_available(self) -> int:
        """How many bytes can be read now."""
        return self._sent_word[0] - self._received

    def read_into(self, space: memoryview) -> int:
        """Take out as much as there is and fits; returns how many bytes that was."""
        n = min(space.nbytes, self.n_available)
        if n == 0:
            return 0
        fence()
        size = self._ring.nbytes
        at = self._received % size
        first = min(n, size - at)
        space[:first] = self._ring[at : at + first]
        if n > first:
            space[first:n] = self._ring[: n - first]
        fence()
        self._received += n
        self._received_word[0] = self._received
        return n
