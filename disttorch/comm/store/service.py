"""What a store server answers: requests and times in, replies out, no socket and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm.store.table import Table
from disttorch.comm.wire import Op, Reply, Request, Status, WireError, decode_request, pack_keys

# A client is one socket of one rank; far more parked waits than that is an attack or a leak.
MAX_PARKED_PER_CLIENT = 64

_WAITING = (Op.GET, Op.WAIT, Op.POP)

Outgoing = tuple[bytes, Reply]


@dataclass(frozen=True)
class _Taken(Reply):
    """A value out of a queue, which nobody has until it is delivered."""

    queue: bytes


@dataclass(frozen=True)
class _Parked:
    client: bytes
    request: Request
    expires_s: float


class StoreService:
    """The keys of a job and the requests that wait for some of them.

    `dropped` counts malformed and oversize requests, which are ignored.
    """

    def __init__(self) -> None:
        self._table = Table()
        self._parked: list[_Parked] = []
        self.dropped = 0

    def handle(self, client: bytes, frames: Sequence[bytes], now_s: float) -> list[Outgoing]:
        """Replies to send after one message of `client`, its own and those of requests it wakes."""
        try:
            request = decode_request(frames)
        except WireError:
            self.dropped += 1
            return []
        if request.op in _WAITING:
            return self._get_or_park(client, request, now_s)
        return [(client, self._apply(request)), *self._wake()]

    def expire(self, now_s: float) -> list[Outgoing]:
        """Replies to requests whose time is over."""
        late = [parked for parked in self._parked if parked.expires_s <= now_s]
        self._parked = [parked for parked in self._parked if parked.expires_s > now_s]
        return [(parked.client, self._timed_out(parked.request)) for parked in late]

    def undelivered(self, reply: Reply) -> list[Outgoing]:
        """Replies to send as one could not be: a value of a queue is for the next that waits."""
        if not isinstance(reply, _Taken):
            return []
        self._table.give_back(reply.queue, reply.fields[0])
        return self._wake()

    def next_expiry_s(self) -> float:
        """When `expire` has work to do next; infinity if nothing waits."""
        return min((parked.expires_s for parked in self._parked), default=math.inf)

    def _get_or_park(self, client: bytes, request: Request, now_s: float) -> list[Outgoing]:
        if self._is_ready(request):
            return [(client, self._found(request))]
        if request.wait_ms == 0 and request.op is Op.POP:
            return [(client, Reply(Status.EMPTY, request.request_id, 0, ()))]
        if request.wait_ms == 0:
            return [(client, self._timed_out(request))]
        if sum(parked.client == client for parked in self._parked) >= MAX_PARKED_PER_CLIENT:
            self.dropped += 1
            return []
        self._parked.append(_Parked(client, request, now_s + request.wait_ms / 1000))
        return []

    def _wake(self) -> list[Outgoing]:
        woken, still = [], []
        # One by one: what a request takes out of a queue is not there for the next.
        for parked in self._parked:
            if self._is_ready(parked.request):
                woken.append((parked.client, self._found(parked.request)))
            else:
                still.append(parked)
        self._parked = still
        return woken

    def _is_ready(self, request: Request) -> bool:
        if request.op is Op.POP:
            return self._table.queue_len(request.fields[0]) > 0
        return self._table.has_all(request.fields, or_queues=request.op is Op.WAIT)

    def _found(self, request: Request) -> Reply:
        if request.op is Op.POP:
            (key,) = request.fields
            return _Taken(Status.OK, request.request_id, 0, (self._table.pop(key),), key)
        values = self._table.get_all(request.fields) if request.op is Op.GET else []
        return Reply(Status.OK, request.request_id, 0, tuple(values))

    def _timed_out(self, request: Request) -> Reply:
        missing = tuple(self._table.missing(request.fields))
        return Reply(Status.TIMED_OUT, request.request_id, 0, missing)

    def _apply(self, request: Request) -> Reply:
        try:
            number, fields = self._evaluate(request.op, request.fields)
        except ValueError:
            return Reply(Status.REFUSED, request.request_id, 0, (b"the value is not a number",))
        return Reply(Status.OK, request.request_id, number, fields)

    def _evaluate(self, op: Op, fields: tuple[bytes, ...]) -> tuple[int, tuple[bytes, ...]]:
        table = self._table
        match op:
            case Op.SET:
                table.set(fields[0], fields[1])
            case Op.APPEND:
                table.append(fields[0], fields[1])
            case Op.ADD:
                return 0, (b"%d" % table.add(fields[0], int(fields[1])),)
            case Op.COMPARE_SET:
                return 0, (table.compare_set(*fields),)
            case Op.CHECK:
                return int(table.has_all(fields, or_queues=True)), ()
            case Op.DELETE:
                return int(table.delete(fields[0])), ()
            case Op.NUM_KEYS:
                return len(table), ()
            case Op.LIST_KEYS:
                return 0, (pack_keys(table.keys()),)
            case Op.PUSH:
                table.push(fields[0], fields[1])
            case Op.QUEUE_LEN:
                return table.queue_len(fields[0]), ()
            case Op.GET | Op.WAIT | Op.POP:
                raise AssertionError("requests that wait are not applied")
        return 0, ()
