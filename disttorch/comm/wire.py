"""Frames of the key-value store: fixed heads and raw byte fields, never pickle.

A request is [head, field...], a reply is [head, field...]; a head is 24 bytes, little-endian:
magic (4), code (1: opcode or status), zero (1), number of fields (2), request id (8), argument (8:
milliseconds to wait in a request, an integer result in a reply).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"dts1"
MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = 64 << 20
MAX_FIELDS = 1 << 14

_HEAD = struct.Struct("<4sBBHQq")
_KEY = struct.Struct("<I")


class Op(IntEnum):
    """What a request asks for."""

    SET = 1
    GET = 2
    ADD = 3
    COMPARE_SET = 4
    WAIT = 5
    CHECK = 6
    DELETE = 7
    NUM_KEYS = 8
    APPEND = 9
    LIST_KEYS = 10
    PUSH = 11
    POP = 12
    QUEUE_LEN = 13


class Status(IntEnum):
    """How a request ended."""

    OK = 1
    TIMED_OUT = 2
    REFUSED = 3
    EMPTY = 4


# fewest and most fields of each request
_N_FIELDS: dict[Op, tuple[int, int]] = {
    Op.SET: (2, 2),
    Op.GET: (1, MAX_FIELDS),
    Op.ADD: (2, 2),
    Op.COMPARE_SET: (3, 3),
    Op.WAIT: (1, MAX_FIELDS),
    Op.CHECK: (1, MAX_FIELDS),
    Op.DELETE: (1, 1),
    Op.NUM_KEYS: (0, 0),
    Op.APPEND: (2, 2),
    Op.LIST_KEYS: (0, 0),
    Op.PUSH: (2, 2),
    Op.POP: (1, 1),
    Op.QUEUE_LEN: (1, 1),
}
# of the fields, how many at the front are keys (None: all)
_N_KEYS: dict[Op, int | None] = dict.fromkeys(
    (Op.SET, Op.ADD, Op.COMPARE_SET, Op.APPEND, Op.PUSH), 1
)


@dataclass(frozen=True)
class Request:
    """One decoded request; `wait_ms` bounds GET, WAIT and POP."""

    op: Op
    request_id: int
    wait_ms: int
    fields: tuple[bytes, ...]


@dataclass(frozen=True)
class Reply:
    """One decoded reply; `number` is the result of CHECK, DELETE, NUM_KEYS or QUEUE_LEN."""

    status: Status
    request_id: int
    number: int
    fields: tuple[bytes, ...]


class WireError(ValueError):
    """Frames that are not a well-formed request or reply."""


def encode_request(request: Request) -> list[bytes]:
    """Frames of a request; raises WireError when a field breaks a limit."""
    _check_fields(request.op, request.fields)
    head = (request.op, 0, len(request.fields), request.request_id, request.wait_ms)
    return [_HEAD.pack(MAGIC, *head), *request.fields]


def decode_request(frames: Sequence[bytes]) -> Request:
    """The request in `frames`; raises WireError on anything malformed or over a limit."""
    code, request_id, wait_ms, fields = _decode(frames)
    try:
        op = Op(code)
    except ValueError:
        raise WireError(f"unknown opcode {code}") from None
    if wait_ms < 0:
        raise WireError("negative wait")
    _check_fields(op, fields)
    return Request(op, request_id, wait_ms, fields)


def encode_reply(reply: Reply) -> list[bytes]:
    """Frames of a reply."""
    head = (reply.status, 0, len(reply.fields), reply.request_id, reply.number)
    return [_HEAD.pack(MAGIC, *head), *reply.fields]


def decode_reply(frames: Sequence[bytes]) -> Reply:
    """The reply in `frames`; raises WireError on anything malformed."""
    code, request_id, number, fields = _decode(frames)
    try:
        return Reply(Status(code), request_id, number, fields)
    except ValueError:
        raise WireError(f"unknown status {code}") from None


def pack_keys(keys: Sequence[bytes]) -> bytes:
    """Any number of keys as one field, each behind its length in 4 bytes."""
    return b"".join(_KEY.pack(len(key)) + key for key in keys)


def unpack_keys(field: bytes) -> list[bytes]:
    """The keys in a field of `pack_keys`; raises WireError if it was cut."""
    keys, at = [], 0
    while at < len(field):
        start = at + _KEY.size
        end = start + _KEY.unpack_from(field, at)[0] if start <= len(field) else start
        if end > len(field):
            raise WireError("a list of keys was cut")
        keys.append(field[start:end])
        at = end
    return keys


def _decode(frames: Sequence[bytes]) -> tuple[int, int, int, tuple[bytes, ...]]:
    if not frames or len(frames[0]) != _HEAD.size:
        raise WireError("no head")
    magic, code, zero, n_fields, request_id, argument = _HEAD.unpack(frames[0])
    if magic != MAGIC or zero != 0:
        raise WireError("bad magic")
    fields = tuple(frames[1:])
    if len(fields) != n_fields:
        raise WireError(f"{n_fields} fields announced, {len(fields)} came")
    return code, request_id, argument, fields


def _check_fields(op: Op, fields: tuple[bytes, ...]) -> None:
    fewest, most = _N_FIELDS[op]
    if not fewest <= len(fields) <= most:
        raise WireError(f"{op.name} takes {fewest} to {most} fields, got {len(fields)}")
    n_keys = _N_KEYS.get(op)
    for index, field in enumerate(fields):
        is_key = n_keys is None or index < n_keys
        limit = MAX_KEY_BYTES if is_key else MAX_VALUE_BYTES
        if len(field) > limit:
            what = "key" if is_key else "value"
            raise WireError(f"{what} of {len(field)} bytes is above the limit of {limit}")
