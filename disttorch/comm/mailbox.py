"""Point-to-point messages: tagged, of any size, matched in order for each pair of ranks and tag.

A message is a head of 512 bytes and its data, streamed through the ring of its pair. Data that
comes before its receive is called is kept aside, so two ranks may send to each other at once.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from disttorch.comm import header
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import CollectiveMismatchError, DistBackendError
from disttorch.comm.header import HEADER_BYTES, EncodedCall
from disttorch.comm.mesh import Reader, SharedMesh, Writer
from disttorch.comm.transport.arena import Array, Condition
from disttorch.comm.work import Work

# Tag, number of bytes, digest of the dtype. The description of the call lies where a collective's
# header has it, with long names cut.
_HEAD = struct.Struct("<qQQ")
_LEFT = (Condition.CLOSED, Condition.EXITED)


class Message:
    """One send or one receive on its way; `peer` is a group rank, None for a receive from any."""

    def __init__(
        self, peer: int | None, tag: int, array: Array, call: EncodedCall, deadline: Deadline
    ) -> None:
        self.peer = peer
        self.tag = tag
        self.array = array
        self.call = call
        self.deadline = deadline
        self.done = False
        self.error: BaseException | None = None
        self.work: Work | None = None
        self.on_finish: Callable[[], None] | None = None

    @property
    def dtype_digest(self) -> int:
        """Equal on both sides if they mean the same dtype."""
        if self.call.plan is None:
            self.call.plan = header.digest(self.call.call.dtype)
        return int(self.call.plan)

    @property
    def what(self) -> str:
        """`recv from rank 1 at train.py:41`."""
        return f"{self.call.call.operation} at {self.call.call.site}"

    def end(self, error: BaseException | None = None) -> None:
        """Mark as ended; who waits for its `work` is not told yet."""
        self.error = error
        self.done = True
        if self.work is not None:
            self.work.peer = self.peer
        if self.on_finish is not None:
            self.on_finish()


class _Arrival:
    """A message that comes in, into a receive's own memory or kept aside until one asks for it."""

    def __init__(self, head: bytes) -> None:
        self.tag: int
        self.nbytes: int
        self.tag, self.nbytes, self._dtype = _HEAD.unpack_from(head)
        self.call = header.decode(head)
        self.receive: Message | None = None
        self.data = memoryview(b"")
        self.n_got = 0

    @property
    def complete(self) -> bool:
        return self.n_got == self.nbytes

    def fits(self, receive: Message) -> bool:
        return self._dtype == receive.dtype_digest and self.nbytes == receive.array.nbytes


class Mailbox:
    """All messages of one rank in one group. Safe from several threads; `progress` moves them."""

    def __init__(self, mesh: SharedMesh) -> None:
        self._mesh = mesh
        self._lock = threading.Lock()
        self._writers: dict[int, Writer] = {}
        self._readers: dict[int, Reader] = {}
        self._sends: dict[int, deque[tuple[Message, deque[memoryview]]]] = {}
        self._receives: list[Message] = []
        self._arrivals: dict[int, list[_Arrival]] = {
            peer: [] for peer in range(mesh.size) if peer != mesh.rank
        }
        self._untold: deque[tuple[Message, Work]] = deque()

    def post_send(self, message: Message) -> None:
        """Queue a send; its array must stay unchanged until it is done."""
        assert message.peer is not None
        data = message.array.reshape(-1).view(np.uint8).data
        head = bytearray(HEADER_BYTES)
        _HEAD.pack_into(head, 0, message.tag, message.array.nbytes, message.dtype_digest)
        at = header.DESCRIPTION_AT
        head[at : at + len(message.call.description)] = message.call.description
        with self._lock:
            self._writer(message.peer)
            queue = self._sends.setdefault(message.peer, deque())
            queue.append((message, deque([memoryview(head), data])))
        self.progress()

    def post_receive(self, message: Message) -> None:
        """Queue a receive; its contiguous array is written when the message comes."""
        with self._lock:
            self._receives.append(message)
        self.progress()

    def progress(self) -> None:
        """Move what can be moved now; does not block."""
        with self._lock:
            for queue in self._sends.values():
                self._push(queue)
            for peer in self._arrivals:
                while self._pull(peer):
                    pass
            self._match()
        self._tell()

    def wait(self, message: Message, *, eager: bool) -> None:
        """Move messages until this one is done; raises its error or that of the wait."""

        def ready() -> bool:
            if not message.done:
                self.progress()
            return message.done

        if not ready():
            doing = message.what
            self._mesh.wait_for(
                ready, message.deadline, lambda: self._peers(message), doing, eager=eager
            )
        if message.error is not None:
            raise message.error

    def serve(self, message: Message, give_up: Callable[[BaseException], None]) -> None:
        """Wait for a message in the background and finish it with the error that the wait meets."""
        try:
            self.wait(message, eager=False)
            self._tell()  # also what a thread ended that was interrupted before it told
        except BaseException as error:  # whoever waits for the message has it raised
            with self._lock:
                if message.done:
                    return
                self._end(message, error)
            self._tell()
            give_up(error)

    def unsent(self) -> list[Message]:
        """Sends of which a part is not yet in the ring, from where the receiver can take it."""
        with self._lock:
            return [message for queue in self._sends.values() for message, _ in queue]

    def flush(self, deadline: Deadline) -> list[Message]:
        """Push out what is unsent while its receivers live; returns what could not be."""

        def ready() -> bool:
            self.progress()
            return not self.unsent()

        def peers() -> list[int]:
            return [message.peer for message in self.unsent() if message.peer is not None]

        with contextlib.suppress(DistBackendError):
            if not ready():
                self._mesh.wait_for(ready, deadline, peers, "sending what was not waited for")
        return self.unsent()

    def close(self) -> None:
        """Forget all messages and rings."""
        with self._lock:
            for box in (self._writers, self._readers, self._sends, self._receives, self._arrivals):
                box.clear()

    def _end(self, message: Message, error: BaseException | None = None) -> None:
        message.end(error)
        if message.work is not None:
            self._untold.append((message, message.work))

    def _tell(self) -> None:
        """Let works end, without the lock: callbacks of their futures may send and receive."""
        while self._untold:
            try:
                message, work = self._untold.popleft()
            except IndexError:  # another thread was quicker
                return
            work.finish(message.error)

    def _peers(self, message: Message) -> list[int]:
        if message.peer is not None:
            return [message.peer]
        others = list(self._arrivals)
        reports = self._mesh.reports(others, set())
        # Ranks that left in peace send no more, but others may; one that failed fails the group.
        waited = [p for p, r in zip(others, reports, strict=True) if r.condition not in _LEFT]
        return waited or others

    def _writer(self, peer: int) -> Writer:
        if peer not in self._writers:
            self._writers[peer] = self._mesh.writer(peer)
        return self._writers[peer]

    def _reader(self, peer: int) -> Reader:
        if peer not in self._readers:
            self._readers[peer] = self._mesh.reader(peer)
        return self._readers[peer]

    def _push(self, queue: deque[tuple[Message, deque[memoryview]]]) -> None:
        while queue:
            message, parts = queue[0]
            assert message.peer is not None
            writer = self._writer(message.peer)
            while parts:
                parts[0] = parts[0][writer.write(parts[0]) :]
                if parts[0].nbytes:
                    return
                parts.popleft()
            queue.popleft()
            self._end(message)

    def _pull(self, peer: int) -> bool:
        """Take in a part of one message; True if there may be more."""
        reader = self._reader(peer)
        arrivals = self._arrivals[peer]
        if not arrivals or arrivals[-1].complete:
            if reader.n_available < HEADER_BYTES:
                return False
            head = bytearray(HEADER_BYTES)
            reader.read_into(memoryview(head))
            arrivals.append(self._place(peer, _Arrival(bytes(head))))
        arrival = arrivals[-1]
        n = reader.read_into(arrival.data[arrival.n_got :])
        arrival.n_got += n
        if arrival.complete and arrival.receive is not None:
            arrivals.pop()
            self._end(arrival.receive)
        return n > 0 or arrival.complete

    def _place(self, peer: int, arrival: _Arrival) -> _Arrival:
        receive = next((r for r in self._receives if _wants(r, peer, arrival)), None)
        earlier = any(other.tag == arrival.tag for other in self._arrivals[peer])
        if receive is not None and not earlier and arrival.fits(receive):
            self._receives.remove(receive)
            receive.peer = peer
            arrival.receive = receive
            arrival.data = receive.array.reshape(-1).view(np.uint8).data
        else:
            arrival.data = np.empty(arrival.nbytes, np.uint8).data
        return arrival

    def _match(self) -> None:
        """Hand messages that were kept aside to the receives that ask for them."""
        for receive in list(self._receives):
            peers = list(self._arrivals) if receive.peer is None else [receive.peer]
            for peer in peers:
                kept = next((a for a in self._arrivals[peer] if _wants(receive, peer, a)), None)
                if kept is not None and kept.complete:
                    self._arrivals[peer].remove(kept)
                    self._receives.remove(receive)
                    self._deliver(receive, peer, kept)
                    break

    def _deliver(self, receive: Message, peer: int, arrival: _Arrival) -> None:
        receive.peer = peer
        if arrival.fits(receive):
            receive.array.reshape(-1).view(np.uint8)[...] = arrival.data
            self._end(receive)
            return
        ranks = (self._mesh.ranks[self._mesh.rank], self._mesh.ranks[peer])
        calls = (receive.call.call, arrival.call)
        self._end(
            receive,
            CollectiveMismatchError(
                f"recv on rank {ranks[0]} expects {calls[0].dtype} {calls[0].shape}, but rank "
                f"{ranks[1]} sent {calls[1].dtype} {calls[1].shape} with tag {arrival.tag} "
                f"(recv at {calls[0].site}, send at {calls[1].site}). Receive into an array of the "
                f"sender's shape and dtype."
            ),
        )


def _wants(receive: Message, peer: int, arrival: _Arrival) -> bool:
    return receive.tag == arrival.tag and receive.peer in (None, peer)
