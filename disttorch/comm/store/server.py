"""The store's server: one ZeroMQ socket in the launcher, never in a rank."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections import deque
from typing import Any

from disttorch.comm.curve import JobKey
from disttorch.comm.errors import DistStoreError
from disttorch.comm.gate import HANDSHAKE_MS, Gate, bind, next_event, watch
from disttorch.comm.store.place import check_private, socket_path
from disttorch.comm.store.service import StoreService
from disttorch.comm.wire import MAX_FIELDS, MAX_VALUE_BYTES, encode_reply

_IPC = "ipc://"
_TCP = "tcp://"
_MAX_MESSAGES_PER_STEP = 256
_IDLE_STEP_S = 60.0
# Connections that have not said a word yet: so many may wait, or are waited for again.
_MOST_STRANGERS = 128
_FEW_STRANGERS = 64


class StoreServer:
    """Serves a store at `address`: `ipc://` and an absolute path in a directory of this user only.

    Or, with a `key`, at `tcp://host:port` (`*` for any host or port), to clients that have the key.
    Either `start()` a daemon thread or call `step()` from an event loop, not both. Raises
    PermissionError if others may enter the directory, DistStoreError if the address is taken.
    """

    def __init__(self, address: str, key: JobKey | None = None) -> None:
        import zmq  # noqa: PLC0415 - importing disttorch must not load it

        _check_address(address, key)
        self.address = address
        self._service = StoreService()
        self._zmq = zmq
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Told of replies to clients that are gone: what they would have taken is for others.
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A frame above this ends its connection before it is buffered.
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_VALUE_BYTES)
        if key is not None:
            key.guard_server(self._socket)
            self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._events = watch(self._socket, _events(zmq))
        self._strangers: set[int] = set()
        self._gate: Gate | None = None
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._closed = False
        self._bound = False
        try:
            if key is not None:
                self._gate = bind(self._socket, address, self._events)
            else:
                self._socket.bind(address)
            self._bound = True
            self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        except zmq.ZMQError as error:
            self.close()
            raise DistStoreError(f"cannot serve a store at {address}: {error}") from None
        self._poller = zmq.Poller()
        for source in (self._socket, self._events, self._wake_fd):
            self._poller.register(source, zmq.POLLIN)

    @property
    def dropped(self) -> int:
        """How many malformed or oversize messages and connections were ignored."""
        refused = self._gate.n_refused if self._gate is not None and not self._closed else 0
        return self._service.dropped + refused

    def start(self) -> None:
        """Serve in a daemon thread until `close()`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="store-server", daemon=True)
            self._thread.start()

    def step(self, timeout_s: float = 0.0) -> None:
        """Serve what has come, waiting up to `timeout_s` seconds for the first message."""
        until_expiry_s = self._service.next_expiry_s() - time.monotonic()
        wait_ms = math.ceil(max(0.0, min(timeout_s, until_expiry_s)) * 1000)
        ready = dict(self._poller.poll(wait_ms))
        if self._events in ready:
            self._take_events()
        if self._socket in ready:
            self._serve_messages()
        self._send(self._service.expire(time.monotonic()))

    def close(self) -> None:
        """Stop serving and remove the socket file; safe to call twice. Waits at most 5 s."""
        if self._closed:
            return
        self._closing = True
        if self._thread is not None:
            os.eventfd_write(self._wake_fd, 1)
            self._thread.join(5.0)
            if self._thread.is_alive():
                raise DistStoreError(f"the store's thread at {self.address} did not stop in 5 s")
        self._closed = True
        self._socket.disable_monitor()
        self._events.close(0)
        self._socket.close(0)
        if self._gate is not None:
            self._gate.close()
        self._context.term()
        os.close(self._wake_fd)
        if self._bound and self.address.startswith(_IPC):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address[len(_IPC) :])

    def __enter__(self) -> StoreServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._closing:
            self.step(_IDLE_STEP_S)

    def _serve_messages(self) -> None:
        # Bounded, so that one busy client cannot keep expired waits from being answered.
        for _ in range(_MAX_MESSAGES_PER_STEP):
            try:
                frames = self._receive()
            except self._zmq.Again:
                return
            if len(frames) > MAX_FIELDS + 2:
                self._service.dropped += 1
                continue
            self._send(self._service.handle(frames[0], frames[1:], time.monotonic()))

    def _receive(self) -> list[bytes]:
        if not self._strangers:
            return list(self._socket.recv_multipart(self._zmq.NOBLOCK))
        frames = self._socket.recv_multipart(self._zmq.NOBLOCK, copy=False)
        self._strangers.discard(frames[0].get(self._zmq.SRCFD))
        return [frame.bytes for frame in frames]

    def _send(self, outgoing: list[Any]) -> None:
        waiting = deque(outgoing)
        while waiting:
            client, reply = waiting.popleft()
            try:
                self._socket.send_multipart([client, *encode_reply(reply)], self._zmq.NOBLOCK)
            except self._zmq.ZMQError as error:
                if error.errno not in (self._zmq.EAGAIN, self._zmq.EHOSTUNREACH):
                    raise
                self._service.dropped += error.errno == self._zmq.EAGAIN
                waiting.extend(self._service.undelivered(reply))

    def _take_events(self) -> None:
        for _ in range(_MAX_MESSAGES_PER_STEP):
            if not self._events.poll(0):
                break
            event, value = next_event(self._events)
            if event == self._zmq.EVENT_ACCEPTED:
                self._strangers.add(value)
            elif event == self._zmq.EVENT_DISCONNECTED:
                self._strangers.discard(value)
            elif event != self._zmq.EVENT_LISTENING:
                self._service.dropped += 1
        if self._gate is not None:
            limit = _FEW_STRANGERS if self._gate.shut else _MOST_STRANGERS
            self._gate.set(shut=len(self._strangers) >= limit)


def _events(zmq: Any) -> int:
    return int(
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_LISTENING
        | zmq.EVENT_ACCEPTED
        | zmq.EVENT_DISCONNECTED
    )


def _check_address(address: str, key: JobKey | None) -> None:
    if address.startswith(_TCP):
        if key is None:
            raise ValueError(f"a store at {address} needs a key, as others may reach it")
        return
    path = socket_path(address)
    check_private(os.path.dirname(path))
    _check_unused(path)


def _check_unused(path: str) -> None:
    # ZeroMQ replaces whatever is there, a living server's socket too.
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return
    raise DistStoreError(f"another store serves {_IPC}{path}")
