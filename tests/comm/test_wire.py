"""Frames of the store: round trips, limits and garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disttorch.comm import wire
from disttorch.comm.wire import Op, Reply, Request, Status, WireError

REQUESTS = [
    Request(Op.SET, 1, 0, (b"k", b"v" * 1000)),
    Request(Op.GET, 2**63, 300_000, (b"a", b"b", b"c")),
    Request(Op.ADD, 3, 0, (b"n", b"-5")),
    Request(Op.COMPARE_SET, 4, 0, (b"k", b"", b"x")),
    Request(Op.NUM_KEYS, 5, 0, ()),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.op.name)
def test_request_round_trip(request_: Request) -> None:
    assert wire.decode_request(wire.encode_request(request_)) == request_


def test_any_number_of_keys_is_one_field() -> None:
    keys = [b"", b"a\0b", b"k" * 300] * 40_000
    assert wire.unpack_keys(wire.pack_keys(keys)) == keys
    for cut in (b"\1", b"\2\0\0\0k"):
        with pytest.raises(WireError, match="list of keys was cut"):
            wire.unpack_keys(cut)


def test_reply_round_trip() -> None:
    reply = Reply(Status.TIMED_OUT, 9, -7, (b"missing",))
    assert wire.decode_reply(wire.encode_reply(reply)) == reply


@pytest.mark.parametrize(
    ("op", "fields", "message"),
    [
        (Op.SET, (b"k",), "SET takes 2 to 2 fields"),
        (Op.GET, (), "GET takes 1"),
        (Op.GET, (b"k" * 4097,), "key of 4097 bytes"),
        (Op.SET, (b"k" * 4097, b""), "key of 4097 bytes"),
        (Op.SET, (b"k", bytes(wire.MAX_VALUE_BYTES + 1)), "value of"),
    ],
)
def test_limits(op: Op, fields: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(WireError, match=message):
        wire.encode_request(Request(op, 1, 0, fields))


HEAD = wire.encode_request(Request(Op.CHECK, 1, 0, (b"k",)))[0]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [HEAD],
        [HEAD, b"k", b"extra"],
        [HEAD[:-1], b"k"],
        [b"XXXX" + HEAD[4:], b"k"],
        [HEAD[:4] + b"\xff" + HEAD[5:], b"k"],
        [HEAD[:5] + b"\x01" + HEAD[6:], b"k"],
        [HEAD[:-1] + b"\xff", b"k"],
    ],
)
def test_garbage_requests_are_wire_errors(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        wire.decode_request(frames)


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_decoding_anything_raises_only_wire_errors(frames: list[bytes]) -> None:
    for decode in (wire.decode_request, wire.decode_reply):
        try:
            decode([HEAD, *frames])
            decode(frames)
        except WireError:
            pass
