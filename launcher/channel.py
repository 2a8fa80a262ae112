"""Messages between launcher and zygote: one JSON object a packet, file descriptors beside it.

A sequenced-packet socket keeps packets whole and reports the other side's death as end-of-file,
so neither side parses a stream or polls for a parent.
"""

import array
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

MAX_PACKET_NBYTES = 1 << 17
MAX_FDS = 4


def channel_pair() -> tuple["Channel", "Channel"]:
    """Two connected ends, both closed on exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)


class Channel:
    """One end: `send` and `receive` whole messages; `fileno` for a selector."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        """The descriptor that becomes readable when a message or end-of-file is there."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], fds: Sequence[int] = (), *, wait: bool = True) -> bool:
        """Send one message; False if there is no room for it and `wait` is False.

        A message to a side that has gone is dropped: that side's end-of-file tells of it.
        """
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        flags = 0 if wait else socket.MSG_DONTWAIT
        try:
            self._socket.sendmsg([json.dumps(message).encode()], rights, flags)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            pass
        return True

    def receive(self) -> tuple[dict[str, Any] | None, tuple[int, ...]]:
        """The next message and its descriptors (closed on exec); (None, ()) at end-of-file."""
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, MAX_PACKET_NBYTES, MAX_FDS)
        except ConnectionResetError:
            return None, ()
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds does not pass MSG_CMSG_CLOEXEC on
        if not data:
            return None, ()
        message: dict[str, Any] = json.loads(data)
        return message, tuple(fds)

    def close(self) -> None:
        """Close this end; the other side reads end-of-file."""
        self._socket.close()
