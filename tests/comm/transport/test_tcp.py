"""Messages over TCP: what comes, and what is dropped and counted."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
import zmq

from disttorch.comm.curve import JobKey
from disttorch.comm.transport.tcp import (
    _HEAD,
    _LINGER_MS,
    _MAGIC,
    MAX_FRAME_BYTES,
    Kind,
    Message,
    Wire,
)

KEY = JobKey.new()
GROUP = 77


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something comes true within 20 s."""
    end_s = time.monotonic() + 20
    while not true() and time.monotonic() < end_s:
        time.sleep(1e-3)
    return true()


def received(wire: Wire, n: int) -> list[Message]:
    """The next `n` messages of a wire."""
    got: list[Message] = []
    assert eventually(lambda: got.extend(wire.receive()) or len(got) >= n)
    return got


@pytest.fixture
def pair() -> Iterator[tuple[Wire, Wire]]:
    wires = [Wire(rank, 3, GROUP, KEY, "127.0.0.1") for rank in range(2)]
    wires[0].connect(1, wires[1].address)
    wires[1].connect(0, wires[0].address)
    yield wires[0], wires[1]
    for wire in wires:
        wire.close()


@contextmanager
def outsider(address: str, key: JobKey | None) -> Iterator[zmq.Socket]:
    """A bare socket of somebody at a wire's address, who says that he is rank 2."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.IDENTITY, b"2")
        if key is not None:
            key.guard_client(client)
        client.connect(address)
        yield client


def head(magic=_MAGIC, kind=Kind.STREAM, group=GROUP, sender=2, number=1, count=1, zero=0) -> bytes:
    return _HEAD.pack(magic, kind, group, sender, number, count, 0, zero)


def test_messages_arrive_in_order_with_their_frames(pair):
    zero, one = pair
    for i in range(5):
        zero.send(1, Kind.STREAM, [b"%d" % i, b"x" * i], argument=i)
    zero.send(1, Kind.LEAVE, [])
    got = received(one, 6)
    assert [(m.kind, m.sender, m.argument) for m in got[:5]] == [
        (Kind.STREAM, 0, i) for i in range(5)
    ]
    assert [bytes(m.frames[0]) for m in got[:5]] == [b"%d" % i for i in range(5)]
    assert got[5].kind is Kind.LEAVE and got[5].frames == ()
    assert zero.dropped == one.dropped == 0


MALFORMED = {
    "no head": [b"short"],
    "bad magic": [head(magic=b"wiretd00"), b"x"],
    "unknown kind": [head(kind=9), b"x"],
    "another group": [head(group=78), b"x"],
    "a sender that there is not": [head(sender=7), b"x"],
    "the sender's own number": [head(sender=1), b"x"],
    "another's number": [head(sender=0), b"x"],
    "a frame too few": [head(count=2), b"x"],
    "a frame too many": [head(count=0), b"x"],
    "not the first of its sender": [head(number=2), b"x"],
    "a number that is not zero": [head(zero=1), b"x"],
    "very many frames": [head(count=500), *[b"x"] * 500],
    "random bytes": [os.urandom(64), os.urandom(1000)],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_messages_are_dropped_and_counted(pair, name):
    _, one = pair
    with outsider(one.address, KEY) as client:
        client.send_multipart(MALFORMED[name])
        client.send_multipart([head(), b"well-formed"])
        (message,) = received(one, 1)
        assert one.dropped == 1
    assert bytes(message.frames[0]) == b"well-formed"


def test_replayed_messages_are_dropped(pair):
    _, one = pair
    with outsider(one.address, KEY) as client:
        for number in (1, 1, 2, 1, 2, 3):
            client.send_multipart([head(number=number), b"%d" % number])
        got = received(one, 3)
    assert [bytes(m.frames[0]) for m in got] == [b"1", b"2", b"3"]
    assert one.dropped == 3


STRANGERS = {"without a key": None, "with another key": JobKey.new()}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_refused_and_the_job_goes_on(pair, name):
    zero, one = pair
    with outsider(one.address, STRANGERS[name]) as client:
        client.send_multipart([head(), b"stolen"], zmq.NOBLOCK)
        assert eventually(lambda: one.cut_off() == set() and one.dropped >= 1)
        zero.send(1, Kind.STREAM, [b"ours"])
        (message,) = received(one, 1)
    assert (message.sender, bytes(message.frames[0])) == (0, b"ours")


# ZMTP 3.1, the mechanism CURVE, no server.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x2a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x012"
STOLEN = b"\x01\x40" + head() + b"\x00\x01x"
GARBAGE = {
    "no security": GREETING.replace(b"CURVE", b"NULL\0") + READY + STOLEN,
    "a password": GREETING.replace(b"CURVE", b"PLAIN") + b"\x04\x08\x05HELLO\x00\x00" + STOLEN,
    "the protocol of 2012, which had no security": (
        b"\xff" + bytes(8) + b"\x7f\x01\x05" + b"\x00\x012" + STOLEN
    ),
    "the protocol of 2011": b"\x02\x002" + b"\x41\x01" + head() + b"\x02\x00x",
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "random bytes": b"\xff" + os.urandom(999),
    "nothing": b"",
    "a handshake of random bytes": GREETING + b"\x04\xc8" + os.urandom(200),
    "a handshake of a petabyte": GREETING + b"\x06" + (1 << 50).to_bytes(8, "big") + bytes(99),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_bytes_that_are_no_handshake(pair, name):
    zero, one = pair
    with socket.create_connection(("127.0.0.1", one.port)) as raw:
        raw.sendall(GARBAGE[name])
        zero.send(1, Kind.STREAM, [b"ours"])
        (message,) = received(one, 1)
        assert bytes(message.frames[0]) == b"ours"
    assert eventually(lambda: one.dropped >= 1)
    zero.send(1, Kind.STREAM, [b"more"])
    assert bytes(received(one, 1)[0].frames[0]) == b"more"
    assert one.dropped == 1 and zero.dropped == 0 and one.cut_off() == set()


def test_thousands_of_strangers_do_not_hold_up_a_rank_that_computes(pair):
    zero, one = pair
    for _ in range(2500):
        socket.create_connection(("127.0.0.1", one.port), 5).close()
    zero.send(1, Kind.STREAM, [b"ours"])
    assert bytes(received(one, 1)[0].frames[0]) == b"ours"
    assert eventually(lambda: one.dropped >= 2500) and one.cut_off() == set()


class Recorder:
    """A way to a wire that keeps what is sent along it."""

    def __init__(self, port: int) -> None:
        self.kept = bytearray()
        self._port = port
        server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        with server:
            client = server.accept()[0]
        target = socket.create_connection(("127.0.0.1", self._port))
        threading.Thread(target=self._pass_on, args=(target, client, None), daemon=True).start()
        self._pass_on(client, target, self.kept)

    def _pass_on(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        with source, sink, suppress(OSError):
            while piece := source.recv(1 << 16):
                if kept is not None:
                    kept += piece
                sink.sendall(piece)


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "as it was answered"])
def test_a_recorded_session_is_of_no_use(at_once):
    with ExitStack() as stack:
        zero, one = (Wire(rank, 3, GROUP, KEY, "127.0.0.1") for rank in range(2))
        stack.callback(zero.close)
        stack.callback(one.close)
        recorder = Recorder(one.port)
        zero.connect(1, recorder.address)
        zero.send(1, Kind.STREAM, [b"pay"])
        assert bytes(received(one, 1)[0].frames[0]) == b"pay"
        with socket.create_connection(("127.0.0.1", one.port)) as replay:
            replay.settimeout(20)
            session = bytes(recorder.kept)
            # Greeting, HELLO and INITIATE, each of which waits for its answer.
            cuts = [0, len(session)] if at_once else [0, 64, 266, len(session)]
            for begin, end in itertools.pairwise(cuts):
                with suppress(OSError):
                    replay.sendall(session[begin:end])
                    replay.recv(1 << 16)
            assert eventually(lambda: one.dropped == 1)
        assert one.receive() == [] and one.cut_off() == set()
        zero.send(1, Kind.STREAM, [b"more"])
        assert bytes(received(one, 1)[0].frames[0]) == b"more"


def test_a_silent_connection_ends(monkeypatch):
    monkeypatch.setattr("disttorch.comm.transport.tcp.HANDSHAKE_MS", 50)
    wire = Wire(0, 2, GROUP, KEY, "127.0.0.1")
    with socket.create_connection(("127.0.0.1", wire.port), 20) as silent:
        silent.sendall(b"\xff")
        with suppress(ConnectionResetError):
            while silent.recv(1 << 10):
                pass
    assert eventually(lambda: wire.dropped == 1)
    wire.close()


def test_a_shut_wire_lets_nobody_in_and_keeps_its_peers(pair):
    zero, one = pair
    zero.send(1, Kind.STREAM, [b"up"])
    received(one, 1)
    one.shut()
    with socket.socket() as stranger:
        stranger.setblocking(False)
        stranger.connect_ex(("127.0.0.1", one.port))
        assert eventually(lambda: one.dropped > 0)
        zero.send(1, Kind.STREAM, [b"ours"])
        assert bytes(received(one, 1)[0].frames[0]) == b"ours"
        with pytest.raises(BlockingIOError):
            stranger.send(b"let me in")


def test_oversize_frames_end_their_connection_only(pair):
    zero, one = pair
    with outsider(one.address, KEY) as client:
        client.send_multipart([head(), bytes(MAX_FRAME_BYTES + 1)])
        assert eventually(lambda: one.dropped >= 1)
        zero.send(1, Kind.STREAM, [b"ours"])
        (message,) = received(one, 1)
    assert message.sender == 0 and one.cut_off() == set()


def test_a_peer_that_goes_is_cut_off_within_a_second(pair):
    zero, one = pair
    zero.send(1, Kind.STREAM, [b"up"])
    one.send(0, Kind.STREAM, [b"up"])
    received(one, 1), received(zero, 1)
    assert zero.cut_off() == set()
    started_s = time.monotonic()
    one.close()
    assert eventually(lambda: zero.cut_off() == {1})
    assert time.monotonic() - started_s < 1.0


def test_a_peer_is_not_taken_for_the_stranger_who_had_its_descriptor(monkeypatch):
    monkeypatch.setattr("disttorch.comm.transport.tcp._GRACE_S", 0.0)
    zero, one = (Wire(rank, 2, GROUP, KEY, "127.0.0.1") for rank in range(2))
    with ExitStack() as stack:
        # Many, as this process opens more than the one descriptor that is to be theirs.
        strangers = [socket.create_connection(("127.0.0.1", one.port), 20) for _ in range(20)]
        for stranger in map(stack.enter_context, strangers):
            stranger.sendall(GREETING)
        for stranger in strangers:
            assert stranger.recv(1 << 10)  # all are in
        for stranger in strangers:
            stranger.sendall(b"\x04\xc8" + bytes(200))
        for stranger in strangers:
            with suppress(ConnectionResetError):
                while stranger.recv(1 << 10):
                    pass
        zero.connect(1, one.address)
        zero.send(1, Kind.STREAM, [b"ours"])
        received(one, 1)
    assert one.cut_off() == set() and one.dropped == 20
    zero.close()
    assert eventually(lambda: one.cut_off() == {0})
    one.close()


def test_a_peer_that_went_before_its_message_was_read_is_cut_off():
    zero, one = (Wire(rank, 2, GROUP, KEY, "127.0.0.1") for rank in range(2))
    zero.connect(1, one.address)
    zero.send(1, Kind.STREAM, [b"last"])
    zero.close()
    assert eventually(lambda: one.dropped == 1)  # as it has not been heard yet
    assert bytes(received(one, 1)[0].frames[0]) == b"last"
    assert eventually(lambda: one.cut_off() == {0}) and one.dropped == 0
    one.close()


def test_a_peer_that_went_before_the_way_to_it_was_open_is_cut_off():
    zero, one = (Wire(rank, 2, GROUP, KEY, "127.0.0.1") for rank in range(2))
    address = one.address
    one.close()
    started_s = time.monotonic()
    zero.connect(1, address)
    zero.send(1, Kind.STREAM, [b"too late"])
    assert eventually(lambda: zero.cut_off() == {1})
    assert time.monotonic() - started_s < 1.0
    zero.close()


def test_what_is_left_for_one_who_is_gone_is_not_waited_for(pair):
    zero, one = pair
    zero.send(1, Kind.STREAM, [b"up"])
    received(one, 1)
    one.close()
    assert eventually(lambda: zero.cut_off() == {1})
    zero.send(1, Kind.STREAM, [b"too late"])
    started_s = time.monotonic()
    zero.close()
    assert time.monotonic() - started_s < _LINGER_MS / 2000


LOOKS = """
import sys, time
from disttorch.comm.curve import JobKey
from disttorch.comm.transport.tcp import Wire
key = JobKey.new()
zero, one = (Wire(rank, 2, 7, key, "127.0.0.1") for rank in range(2))
zero.connect(1, one.address)
one.close()
end_s = time.monotonic() + 20
while not zero.cut_off() and time.monotonic() < end_s:
    time.sleep(1e-3)
print(zero.cut_off(), *(name for name in sys.modules if "asyncio" in name))
zero.close()
"""


def test_a_look_at_connections_imports_nothing_large():
    command = [sys.executable, "-c", LOOKS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "{1}\n", ended.stderr


def test_a_closed_wire_is_silent(pair):
    zero, _ = pair
    zero.close()
    zero.close()
    zero.send(1, Kind.STREAM, [b"late"])
    assert zero.receive() == [] and zero.cut_off() == set()


def test_two_threads_may_wait_at_once(pair: tuple[Wire, Wire]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for waiting in [pool.submit(pair[0].wait, 20) for _ in range(20)]:
            waiting.result()
