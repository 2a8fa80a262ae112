"""A rank's end of the store: one ZeroMQ socket a concurrent call, made when first needed."""

from __future__ import annotations

import copy
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from disttorch.comm.curve import JobKey
from disttorch.comm.deadline import Deadline
from disttorch.comm.errors import (
    DistStoreError,
    NotANumberError,
    QueueEmptyError,
    StoreTimeoutError,
)
from disttorch.comm.gate import next_event
from disttorch.comm.store.base import Store, as_amount, as_bytes, as_keys, as_text
from disttorch.comm.store.place import check_private, socket_path
from disttorch.comm.wire import (
    Op,
    Reply,
    Request,
    Status,
    WireError,
    decode_reply,
    encode_request,
    unpack_keys,
)

if TYPE_CHECKING:
    import zmq

# A wait ends at the server; the client gives the answer as long again to arrive, but this at most.
_ANSWER_GRACE_S = 5.0
_WAITING = (Op.GET, Op.WAIT, Op.POP)


class _Line:
    """A socket to the server and what ZeroMQ reports of its connection."""

    def __init__(self, socket: zmq.Socket[bytes], zmq: Any) -> None:
        self.socket = socket
        self.key_may_differ = False
        lost = zmq.EVENT_DISCONNECTED
        self._refused = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        self._monitor = socket.get_monitor_socket(lost | self._refused)
        self._poller = zmq.Poller()
        for end in (socket, self._monitor):
            self._poller.register(end, zmq.POLLIN)

    def poll(self, timeout_ms: int) -> list[Any]:
        """What there is to read: the socket, anything else if the connection was lost."""
        return [end for end, _ in self._poller.poll(timeout_ms)]

    def trouble(self) -> str:
        """What has become of the connection, to be followed by the address."""
        event, _ = next_event(self._monitor)
        if event & self._refused:
            return "this rank's key was refused by the store at"
        if self.key_may_differ:
            return "DISTTORCH_KEY may not be that of the job; lost the connection to the store at"
        return "lost the connection to the store at"

    def close(self) -> None:
        """Close both ends."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)


class ZmqStore(Store):
    """Client of the `StoreServer` at `address`; time-outs in seconds.

    `key` is needed for addresses `tcp://`. Safe to use from several threads, and in a forked child,
    which makes its own connections. A call raises DistStoreError at once if the server goes away,
    and PermissionError if an address `ipc://` is where another user could serve.
    """

    def __init__(
        self, address: str, timeout_s: timedelta | float = 300.0, key: JobKey | None = None
    ) -> None:
        super().__init__(timeout_s)
        self.address = address
        self._key = key
        self._ids = itertools.count(1)
        self._closed = False
        self._idle: list[_Line] = []
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._forget_sockets()

    def set(self, key: str, value: bytes | str) -> None:
        """Store `value` under `key`; at most 64 MiB."""
        self._call(Op.SET, [as_bytes(key), as_bytes(value)])

    def append(self, key: str, value: bytes | str) -> None:
        """Put `value` behind what `key` holds."""
        self._call(Op.APPEND, [as_bytes(key), as_bytes(value)])

    def multi_get(
        self, keys: Sequence[str], timeout_s: timedelta | float | None = None
    ) -> list[bytes]:
        """The values of `keys`, waiting until all are set."""
        wanted = as_keys(keys)
        return list(self._call(Op.GET, wanted, timeout_s).fields) if wanted else []

    def add(self, key: str, amount: int) -> int:
        """Add to the number under `key`; returns the new number."""
        return int(self._call(Op.ADD, [as_bytes(key), b"%d" % as_amount(amount)]).fields[0])

    def compare_set(self, key: str, expected: bytes | str, desired: bytes | str) -> bytes:
        """Set `key` to `desired` if it holds `expected`; returns the value held afterwards."""
        fields = [as_bytes(key), as_bytes(expected), as_bytes(desired)]
        return self._call(Op.COMPARE_SET, fields).fields[0]

    def wait(self, keys: Sequence[str], timeout_s: timedelta | float | None = None) -> None:
        """Block until all `keys` are set."""
        wanted = as_keys(keys)
        if wanted:
            self._call(Op.WAIT, wanted, timeout_s)

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all `keys` are set now."""
        wanted = as_keys(keys)
        return not wanted or bool(self._call(Op.CHECK, wanted).number)

    def delete_key(self, key: str) -> bool:
        """Remove `key`; returns whether it was set."""
        return bool(self._call(Op.DELETE, [as_bytes(key)]).number)

    def num_keys(self) -> int:
        """How many keys are set."""
        return self._call(Op.NUM_KEYS, []).number

    def list_keys(self) -> list[str]:
        """The keys that are set."""
        return list(map(as_text, unpack_keys(self._call(Op.LIST_KEYS, []).fields[0])))

    def queue_push(self, key: str, value: bytes | str) -> None:
        """Put `value` at the end of the queue `key`."""
        self._call(Op.PUSH, [as_bytes(key), as_bytes(value)])

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the oldest value out of the queue `key`."""
        return self._call(Op.POP, [as_bytes(key)], None if block else 0.0).fields[0]

    def queue_len(self, key: str) -> int:
        """How many values are in the queue `key`."""
        return self._call(Op.QUEUE_LEN, [as_bytes(key)]).number

    def clone(self) -> ZmqStore:
        """Another client of the same server, to be closed on its own."""
        twin = copy.copy(self)
        twin._forget_sockets()
        return twin

    def close(self) -> None:
        """Close the sockets; safe to call twice. Calls in other threads end first."""
        self._closed = True
        if self._pid == os.getpid():
            self._close_unused()

    def __enter__(self) -> ZmqStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _call(
        self, op: Op, fields: list[bytes], timeout_s: timedelta | float | None = None
    ) -> Reply:
        if self._closed:
            raise DistStoreError(f"the store at {self.address} was closed")
        deadline = Deadline.after(self.timeout_s if timeout_s is None else timeout_s)
        request = Request(op, next(self._ids), deadline.remaining_ms(), tuple(fields))
        try:
            frames = encode_request(request)
        except WireError as error:
            raise DistStoreError(f"store {op.name.lower()}: {error}") from None
        with self._borrowed_line() as line:
            line.socket.send_multipart(frames)
            reply = self._receive(line, request, deadline)
        return self._checked(request, reply, deadline)

    def _receive(self, line: _Line, request: Request, deadline: Deadline) -> Reply:
        grace_s = min(_ANSWER_GRACE_S, self.timeout_s) if request.op in _WAITING else 0.0
        patience = Deadline.after(deadline.remaining_s() + grace_s)
        while ready := line.poll(patience.remaining_ms()):
            if line.socket in ready:
                try:
                    reply = decode_reply(line.socket.recv_multipart())
                except WireError as error:
                    raise DistStoreError(
                        f"the store at {self.address} answered garbage: {error}"
                    ) from None
                line.key_may_differ = False
                if reply.request_id == request.request_id:
                    return reply
            else:
                raise DistStoreError(
                    f"store {request.op.name.lower()}: {line.trouble()} {self.address}; has the "
                    f"launcher, or the rank that serves it, ended?"
                )
        raise StoreTimeoutError(
            f"store {request.op.name.lower()}: no answer from {self.address} within "
            f"{patience.timeout_s:g} s; is the launcher that serves it still running?"
        )

    def _checked(self, request: Request, reply: Reply, deadline: Deadline) -> Reply:
        name = request.op.name.lower()
        if reply.status is Status.TIMED_OUT:
            missing = [field.decode(errors="replace") for field in reply.fields]
            raise StoreTimeoutError(
                f"store {name}: wait timeout after {deadline.timeout_s:g} s, "
                f"keys never set: {missing}"
            )
        if reply.status is Status.EMPTY:
            raise QueueEmptyError("queue is empty")
        if reply.status is Status.REFUSED:
            key = request.fields[0].decode(errors="replace")
            reason = reply.fields[0].decode(errors="replace")
            kind = NotANumberError if request.op is Op.ADD else DistStoreError
            raise kind(f"store {name} of key {key!r}: {reason}")
        return reply

    @contextmanager
    def _borrowed_line(self) -> Iterator[_Line]:
        if self._pid != os.getpid():
            self._forget_sockets()
        with self._lock:
            self._n_borrowed += 1
            line = self._idle.pop() if self._idle else self._connect()
        healthy = False
        try:
            yield line
            healthy = True
        finally:
            with self._lock:
                self._n_borrowed -= 1
                if healthy:
                    self._idle.append(line)
                else:
                    # A late answer would come to the next call on this socket.
                    line.close()
            if self._closed:
                self._close_unused()

    def _close_unused(self) -> None:
        # A socket may only be closed by the thread that uses it, so the last call ends the context.
        with self._lock:
            while self._idle:
                self._idle.pop().close()
            if self._n_borrowed == 0 and self._context is not None:
                self._context.term()
                self._context = None

    def _connect(self) -> _Line:
        import zmq  # noqa: PLC0415 - importing disttorch must not load it

        self._check_place()
        if self._context is None:
            self._context = zmq.Context(io_threads=1)
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        if self._key is not None:
            self._key.guard_client(socket)
        line = _Line(socket, zmq)
        line.key_may_differ = self.address.startswith("tcp:")
        socket.connect(self.address)
        return line

    def _check_place(self) -> None:
        if not self.address.startswith("ipc:"):
            return
        try:
            check_private(os.path.dirname(socket_path(self.address)))
        except FileNotFoundError:
            raise DistStoreError(
                f"no store at {self.address}: has the launcher, or the rank that serves it, ended?"
            ) from None

    def _forget_sockets(self) -> None:
        # In a forked child the inherited sockets belong to threads that do not exist here; zmq
        # itself never closes them in another process.
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._n_borrowed = 0
        self._idle = []
        self._context = None
