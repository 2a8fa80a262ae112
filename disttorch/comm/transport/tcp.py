"""Messages between ranks over ZeroMQ TCP, readable only with the job's key (`curve`).

Every rank binds one socket and connects one to each peer; a pair's order is kept. A message is a
head of 64 bytes and data frames:

    magic (8), kind (8), group (8), sender (8), number (8), count (8), argument (8), zero (8)

What is malformed, too large, of another group, or not the next of its sender is dropped and counted
in `dropped`; whoever lacks the key is refused before a byte of a message is read, and nobody at all
is let in once the peers are. What a byte has changed in on the way ends the connection, and with it
the group: CURVE authenticates every frame.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic
from typing import Any

from disttorch.comm import addresses
from disttorch.comm.curve import JobKey
from disttorch.comm.errors import DistNetworkError
from disttorch.comm.gate import HANDSHAKE_MS, Gate, bind, next_event, watch

_MAGIC = b"dtwire01"
_HEAD = struct.Struct("<8s7q")
MAX_FRAME_BYTES = 64 << 20
_MAX_FRAMES = 64
# A dead process is seen at once by its closed connection; this is for a cable that was pulled, or
# a host without power: probes that the peer's kernel answers, also while the process is stopped.
# Such a process may be continued; how long it is waited for is the deadline of the operation.
_PROBE_AFTER_S = 2
_PROBE_EVERY_S = 2
_N_PROBES = 4
_LINGER_MS = 1000
# How long to wait for a host to say that nobody listens there.
_PROBE_S = 0.05
# What a peer sent on one connection may come after the end of another is noticed.
_GRACE_S = 0.3


class Kind(IntEnum):
    """What a message is about."""

    STEP = 1
    STREAM = 2
    LEAVE = 3
    TAKEN = 4
    PIECE = 5


@dataclass(frozen=True)
class Message:
    """One message from group rank `sender`; `number` counts those of its sender and kind."""

    kind: Kind
    sender: int
    number: int
    argument: int
    frames: tuple[memoryview, ...]


def _refuses(address: str) -> bool:
    """Whether nobody listens there any more: a peer listens before it tells anybody its address."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _PROBE_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


class Wire:
    """This rank's sockets in one group; safe from several threads.

    `host` is the address to bind, `address` what peers connect to.
    """

    def __init__(self, rank: int, size: int, group: int, key: JobKey, host: str) -> None:
        import zmq  # noqa: PLC0415 - importing disttorch must not load it

        self.rank = rank
        self._n_dropped = 0
        self._size = size
        self.group = group
        self._key = key
        self._host = host
        self._zmq = zmq
        self._lock = threading.Lock()
        self._context: Any = zmq.Context(io_threads=1)
        self._inbox = self._make(zmq.ROUTER)
        self._inbox.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        self._inbox.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        key.guard_server(self._inbox)
        events = zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
        self._comings = watch(self._inbox, events)
        self._gate: Gate | None = None
        self._outboxes: dict[int, Any] = {}
        self._addresses: dict[int, str] = {}
        self._watches: dict[int, Any] = {}
        self._sent: dict[tuple[int, Kind], int] = {}
        self._seen: dict[tuple[int, Kind], int] = {}
        self._cut: dict[int, float] = {}
        # Descriptors of connections to this rank: all, and those of senders known by a message.
        self._open: set[int] = set()
        self._fds: dict[int, int] = {}
        self._closed = False
        try:
            self._gate = bind(self._inbox, f"tcp://{host}:*", self._comings)
        except zmq.ZMQError as error:
            self.close()
            raise DistNetworkError(
                f"cannot listen on {host}: {error}; this host has {addresses.in_words()}"
            ) from None
        self._arrivals: int = self._inbox.getsockopt(zmq.FD)
        self.address = self._inbox.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def dropped(self) -> int:
        """How many messages and connections of others were dropped so far; does not block."""
        with self._lock:
            self._look()
            return self._n_dropped + (0 if self._closed or not self._gate else self._gate.n_refused)

    def drop(self) -> None:
        """Count a message that its reader could not use."""
        with self._lock:
            self._n_dropped += 1

    @property
    def port(self) -> int:
        """The port of `address`."""
        return int(self.address.rpartition(":")[2])

    def branch(self, rank: int, size: int, group: int) -> Wire:
        """A wire with the same key for another group, bound but not connected."""
        return Wire(rank, size, group, self._key, self._host)

    def connect(self, peer: int, address: str) -> None:
        """Open the way to a peer; does not wait for it."""
        outbox = self._make(self._zmq.DEALER)
        outbox.setsockopt(self._zmq.IDENTITY, b"%d" % self.rank)
        self._key.guard_client(outbox)
        events = self._zmq.EVENT_DISCONNECTED | self._zmq.EVENT_CONNECT_RETRIED
        self._watches[peer] = watch(outbox, events)
        outbox.connect(address)
        self._outboxes[peer], self._addresses[peer] = outbox, address

    def shut(self) -> None:
        """Take no more connections: all peers have theirs, and a lost one is not made anew."""
        if self._gate is not None:
            self._gate.set(shut=True)

    def send(self, peer: int, kind: Kind, frames: Sequence[Any], argument: int = 0) -> None:
        """Queue a message; its frames must stay unchanged until the peer has it. Does not block."""
        with self._lock:
            if self._closed:
                return
            number = self._sent[peer, kind] = self._sent.get((peer, kind), 0) + 1
            fields = (kind, self.group, self.rank, number, len(frames), argument, 0)
            head = _HEAD.pack(_MAGIC, *fields)
            try:
                outbox = self._outboxes[peer]
                outbox.send_multipart([head, *frames], self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                self._cut.setdefault(peer, monotonic())

    def receive(self) -> list[Message]:
        """All messages that have come, in the order of each sender; does not block."""
        messages: list[Message] = []
        with self._lock:
            while not self._closed:
                try:
                    frames = self._inbox.recv_multipart(self._zmq.NOBLOCK, copy=False)
                except self._zmq.Again:
                    break
                message = self._parse([memoryview(frame.buffer) for frame in frames])
                if message is None:
                    self._n_dropped += 1
                    continue
                if message.sender not in self._fds:
                    self._identify(message.sender, frames[0].get(self._zmq.SRCFD))
                messages.append(message)
        return messages

    def wait(self, timeout_ms: int) -> None:
        """Block until something comes, for `timeout_ms` at most; only after all was received."""
        # A poll object refuses to be polled by two threads at once.
        poll = select.poll()
        poll.register(self._arrivals, select.POLLIN)
        poll.poll(timeout_ms)

    def cut_off(self) -> set[int]:
        """The peers whose connection was lost a third of a second ago; does not block."""
        with self._lock:
            self._look()
            latest_s = monotonic() - _GRACE_S
            return {peer for peer, at_s in self._cut.items() if at_s <= latest_s}

    def close(self, gone: Collection[int] = ()) -> None:
        """Send what is queued, for a second at most, and close; safe to call twice.

        For peers that are `gone`, or whose connection has ended, it does not wait.
        """
        with self._lock:
            if self._closed:
                return
            self._look()
            self._closed = True
            for peer, outbox in self._outboxes.items():
                outbox.disable_monitor()
                outbox.close(0 if peer in self._cut or peer in gone else _LINGER_MS)
            self._inbox.disable_monitor()
            self._inbox.close(0)
            for reader in (*self._watches.values(), self._comings):
                reader.close(0)
            if self._gate is not None:
                self._gate.close()
            self._context.term()

    def forget(self) -> None:
        """In a forked child: let go of the rank's connections, which are to end with the rank.

        ZeroMQ's threads are not here, so nobody else will. The numbers stay taken, as objects that
        came along still hold them.
        """
        with open(os.devnull, "rb") as null:
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):
                    if self._is_own(int(name)):
                        os.dup2(null.fileno(), int(name), inheritable=False)

    def _is_own(self, fd: int) -> bool:
        """Whether this is the listening socket, or a connection of it or to a peer."""
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        with socket.socket(fileno=os.dup(fd)) as found:
            if found.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            if found.getsockname()[1] == self.port:
                return True
            host, port, *_ = found.getpeername()
            return f"tcp://{host}:{port}" in self._addresses.values()

    def _make(self, kind: int) -> Any:
        made = self._context.socket(kind)
        zmq = self._zmq
        # What a rank may queue is bounded by the steps of a collective, not by ZeroMQ.
        for option, value in (
            (zmq.SNDHWM, 0),
            (zmq.RCVHWM, 0),
            (zmq.LINGER, _LINGER_MS),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, _PROBE_AFTER_S),
            (zmq.TCP_KEEPALIVE_INTVL, _PROBE_EVERY_S),
            (zmq.TCP_KEEPALIVE_CNT, _N_PROBES),
        ):
            made.setsockopt(option, value)
        return made

    def _look(self) -> None:
        """Take note of connections that have ended, this rank's to others and theirs to it."""
        if self._closed:
            return
        for peer, reader in self._watches.items():
            retried = False
            while reader.poll(0):
                event, _ = next_event(reader)
                retried = event == self._zmq.EVENT_CONNECT_RETRIED
                if not retried:
                    self._cut.setdefault(peer, monotonic())
            # A network may be slow to come up; a host that answers that nobody listens is final.
            if retried and peer not in self._cut and _refuses(self._addresses[peer]):
                self._cut[peer] = monotonic()
        while self._comings.poll(0):
            event, fd = next_event(self._comings)
            if event == self._zmq.EVENT_ACCEPTED:
                self._open.add(fd)
                continue
            self._open.discard(fd)
            peers = [peer for peer, known in self._fds.items() if known == fd]
            if not peers:
                # No handshake, no key, too long a frame, or nothing that a peer would have sent.
                self._n_dropped += 1
            for peer in peers:
                del self._fds[peer]
                self._cut.setdefault(peer, monotonic())

    def _identify(self, sender: int, fd: int) -> None:
        """Note whose connection a descriptor is, of which there was another's before perhaps."""
        self._look()
        if fd in self._open:
            self._fds[sender] = fd
        elif sender not in self._cut:
            # It has ended since, and was taken for a stranger's.
            self._n_dropped -= 1
            self._cut[sender] = monotonic()

    def _parse(self, frames: Sequence[memoryview]) -> Message | None:
        if not 2 <= len(frames) <= _MAX_FRAMES + 2 or frames[1].nbytes != _HEAD.size:
            return None
        magic, kind, group, sender, number, count, argument, zero = _HEAD.unpack(frames[1])
        if magic != _MAGIC or zero or group != self.group or count != len(frames) - 2:
            return None
        if kind not in iter(Kind) or not 0 <= sender < self._size or sender == self.rank:
            return None
        if bytes(frames[0]) != b"%d" % sender:
            return None
        seen = (sender, Kind(kind))
        if number != self._seen.get(seen, 0) + 1:
            return None
        self._seen[seen] = number
        return Message(Kind(kind), sender, number, argument, tuple(frames[2:]))
