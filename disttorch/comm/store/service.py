"""What a store server answers: requests and times in, replies out, no socket and no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from disttorch.comm.store.table import Table
from disttorch.comm.wire import Op, Reply, Request, Status, WireError, decode_request

# A client is one socket of one rank; far more parked waits than that is an attack or a leak.
MAX_PARKED_PER_CLIENT = 64

Outgoing = tuple[bytes, Reply]


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
        if request.op in (Op.GET, Op.WAIT):
            return self._get_or_park(client, request, now_s)
        return [(client, self._apply(request)), *self._wake()]

    def expire(self, now_s: float) -> list[Outgoing]:
        """Replies to requests whose time is over."""
        late = [parked for parked in self._parked if parked.expires_s <= now_s]
        self._parked = [parked for parked in self._parked if parked.expires_s > now_s]
        return [(parked.client, self._timed_out(parked.request)) for parked in late]

    def next_expiry_s(self) -> float:
        """When `expire` has work to do next; infinity if nothing waits."""
        return min((parked.expires_s for parked in self._parked), default=math.inf)

    def _get_or_park(self, client: bytes, request: Request, now_s: float) -> list[Outgoing]:
        if self._table.has_all(request.fields):
            return [(client, self._found(request))]
        if request.wait_ms == 0:
            return [(client, self._timed_out(request))]
        if sum(parked.client == client for parked in self._parked) >= MAX_PARKED_PER_CLIENT:
            self.dropped += 1
            return []
        self._parked.append(_Parked(client, request, now_s + request.wait_ms / 1000))
        return []

    def _wake(self) -> list[Outgoing]:
        ready = [p for p in self._parked if self._table.has_all(p.request.fields)]
        if ready:
            self._parked = [p for p in self._parked if p not in ready]
        return [(parked.client, self._found(parked.request)) for parked in ready]

    def _found(self, request: Request) -> Reply:
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
                return int(table.has_all(fields)), ()
            case Op.DELETE:
                return int(table.delete(fields[0])), ()
            case Op.NUM_KEYS:
                return len(table), ()
            case Op.GET | Op.WAIT:
                raise AssertionError("requests that wait are not applied")
        return 0, ()
