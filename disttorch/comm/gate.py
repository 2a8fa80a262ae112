"""Who may still connect to a TCP port: nobody without the key is to cost the job anything.

ZeroMQ takes every connection, gives it a descriptor and memory, and only then asks for the key. A
gate stands in front of that: while it is shut, the kernel drops requests for connections.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from array import array
from typing import Any

# How long a connection may take to prove that it has the key.
HANDSHAKE_MS = 10_000
# A filter of packets of one instruction: return 0, the length to keep of each.
_RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_MEMINFO = 55
# Nine numbers, the last of which counts dropped packets.
_MEMINFO = struct.Struct("9I")
# Of an event of a zmq socket: which, and a number that depends on it. Behind it comes the address.
_EVENT = struct.Struct("=Hi")


class Gate:
    """The way to a listening socket, open at first; `fd` stays its owner's.

    Shutting it leaves those alone who are connected. A request for a connection that meets a shut
    gate gets no answer and is repeated by its sender, so one that is opened again lets it in.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self.shut = False

    def set(self, *, shut: bool) -> None:
        """Shut or open it; where the kernel knows no such filters it stays open."""
        if shut is self.shut:
            return
        with contextlib.suppress(OSError):
            if shut:
                code = array("B", _RETURN_NOTHING)
                program = struct.pack("HP", 1, code.buffer_info()[0])
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            else:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            self.shut = shut

    @property
    def n_refused(self) -> int:
        """How many requests for a connection, repeated ones too, have met it shut."""
        try:
            told = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(told)[-1])
        except (OSError, struct.error):
            return 0

    def close(self) -> None:
        """Let go of the socket; safe to call twice."""
        self._socket.close()


def watch(zmq_socket: Any, events: int) -> Any:
    """A socket that tells of a zmq socket's events without a bound on those not yet read.

    With a bound, as `get_monitor_socket` has one, ZeroMQ's own thread waits for the reader, and
    with it all of the context's traffic: a thousand connections of a stranger would be enough.
    """
    import zmq  # noqa: PLC0415 - importing disttorch must not load it

    address = f"inproc://events-{os.urandom(8).hex()}"
    zmq_socket.monitor(address, events)
    reader = zmq_socket.context.socket(zmq.PAIR)
    reader.setsockopt(zmq.RCVHWM, 0)
    reader.connect(address)
    return reader


def next_event(reader: Any) -> tuple[int, int]:
    """The next event that the socket of `watch` tells, and its value; blocks until there is one.

    As `zmq.utils.monitor` reads them, which would import asyncio in the middle of a wait.
    """
    event, value = _EVENT.unpack(reader.recv_multipart()[0])
    return event, value


def bind(zmq_socket: Any, address: str, reader: Any) -> Gate:
    """Bind to a TCP address; `reader` watches the socket, EVENT_LISTENING among its events.

    Raises zmq.ZMQError.
    """
    zmq_socket.bind(address)
    return Gate(next_event(reader)[1])
