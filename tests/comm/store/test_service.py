"""The server's decisions, on a clock that the test moves."""

import math

from disttorch.comm.store import service as service_module
from disttorch.comm.store.service import StoreService
from disttorch.comm.wire import Op, Request, Status, encode_request

A, B = b"client a", b"client b"


def ask(service, client, op, *fields, wait_ms=0, now_s=0.0, request_id=1):
    frames = encode_request(Request(op, request_id, wait_ms, fields))
    return service.handle(client, frames, now_s)


def test_a_wait_is_answered_by_the_set_that_completes_it() -> None:
    service = StoreService()
    assert ask(service, A, Op.GET, b"x", b"y", wait_ms=1000, request_id=7) == []
    assert [client for client, _ in ask(service, B, Op.SET, b"x", b"1")] == [B]
    (own, _), (woken, reply) = ask(service, B, Op.ADD, b"y", b"2")
    assert (own, woken) == (B, A)
    assert (reply.status, reply.request_id, reply.fields) == (Status.OK, 7, (b"1", b"2"))
    assert service.next_expiry_s() == math.inf


def test_a_wait_ends_at_its_time_and_names_what_is_missing() -> None:
    service = StoreService()
    ask(service, B, Op.SET, b"x", b"1")
    ask(service, A, Op.WAIT, b"x", b"y", wait_ms=500, now_s=10.0)
    assert service.next_expiry_s() == 10.5
    assert service.expire(10.499) == []
    ((client, reply),) = service.expire(10.5)
    assert (client, reply.status, reply.fields) == (A, Status.TIMED_OUT, (b"y",))
    assert service.expire(11.0) == []


def test_a_wait_of_zero_never_parks() -> None:
    service = StoreService()
    ((_, reply),) = ask(service, A, Op.GET, b"x")
    assert reply.status is Status.TIMED_OUT
    assert service.next_expiry_s() == math.inf


def test_garbage_is_counted_and_changes_nothing() -> None:
    service = StoreService()
    ask(service, A, Op.SET, b"x", b"1")
    for frames in ([], [b"junk"], [b"junk"] * 9):
        assert service.handle(B, frames, 0.0) == []
    assert service.dropped == 3
    ((_, reply),) = ask(service, A, Op.NUM_KEYS)
    assert reply.number == 1


def test_one_client_cannot_fill_the_server_with_waits() -> None:
    service = StoreService()
    for _ in range(service_module.MAX_PARKED_PER_CLIENT + 3):
        ask(service, A, Op.WAIT, b"never", wait_ms=1000)
    assert service.dropped == 3
    assert len(service.expire(2.0)) == service_module.MAX_PARKED_PER_CLIENT


def test_adding_to_text_is_refused() -> None:
    service = StoreService()
    ask(service, A, Op.SET, b"x", b"text")
    ((_, reply),) = ask(service, A, Op.ADD, b"x", b"1")
    assert reply.status is Status.REFUSED


def test_what_cannot_be_delivered_wakes_the_next_that_waits() -> None:
    service = StoreService()
    for client in (A, B):
        ask(service, client, Op.POP, b"queue", wait_ms=1000)
    replies = dict(ask(service, b"c", Op.PUSH, b"queue", b"value"))
    ((client, reply),) = service.undelivered(replies[A])
    assert (client, reply.fields) == (B, (b"value",))
    assert service.undelivered(replies[b"c"]) == []
