"""Messages between a loader and a worker, over a pair of connected sockets.

The loader's end never blocks: a worker that is busy sending a large answer does not read, and a
loader that waited for it to read would wait for ever. What does not fit the socket is kept.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import threading
import time
import weakref
from collections import deque
from typing import Any

_HEADER = struct.Struct("=Q")  # bytes of the message that follows
_READ_NBYTES = 1 << 20
_HELD_S = 1e-3  # answers wait so long for others, to wake the loader up less often
_LOOK_EVERY_S = 4e-3  # at answers that are held back by a slow sample


def _frame(messages: list[Any]) -> bytes:
    body = pickle.dumps(messages, pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(len(body)) + body


class LoaderEnd:
    """The loader's end: `send` keeps what the worker does not take yet, `receive` never waits.

    Messages that are only `put` travel together with the next `flush`: to wake the other process
    up takes longer than most of them.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._pid = os.getpid()
        self._put: list[Any] = []
        self._unsent: deque[memoryview] = deque()
        self._received = bytearray()
        self.ended = False
        _loader_ends.add(self)

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` is to be called once the socket can be written to."""
        return bool(self._unsent)

    def put(self, message: Any) -> None:
        """Keep a message for the next `flush`."""
        self._put.append(message)

    def send(self, message: Any) -> None:
        """Send a message, now or with a later `flush`; none reaches a worker that has died."""
        self._put.append(message)
        self.flush()

    def flush(self) -> None:
        """Send as much as goes without waiting."""
        if self._put:
            self._unsent.append(memoryview(_frame(self._put)))
            self._put = []
        while self._unsent:
            try:
                n_sent = self._socket.send(self._unsent[0], socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._unsent.clear()
                return
            if n_sent == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][n_sent:]

    def receive(self) -> list[Any]:
        """Return the messages that have come whole; sets `ended` when the worker has gone."""
        while True:
            try:
                data = self._socket.recv(_READ_NBYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.ended = True
                break
            self._received += data
            if len(data) < _READ_NBYTES:
                break
        return self._take_messages()

    def _take_messages(self) -> list[Any]:
        messages: list[Any] = []
        start, received = 0, self._received
        while len(received) >= start + _HEADER.size:
            end = start + _HEADER.size + _HEADER.unpack_from(received, start)[0]
            if len(received) < end:
                break
            with memoryview(received) as view:
                messages += pickle.loads(view[start + _HEADER.size : end])
            start = end
        if start:
            del received[:start]
        return messages

    def close(self) -> None:
        """End the conversation, also where another process has inherited this end."""
        if self._pid == os.getpid() and self._socket.fileno() >= 0:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the worker has gone before
        self._socket.close()


_loader_ends: weakref.WeakSet[LoaderEnd] = weakref.WeakSet()


def close_inherited() -> None:
    """In a forked worker: let go of all loaders' ends, so that they end when the loader does."""
    for end in list(_loader_ends):
        end.close()


class WorkerEnd:
    """The worker's end; both directions block.

    Answers that are `put` wait for others, but not for long: if the next sample is slow, or waits
    for what the loader's user does with these, a thread sends them.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._reader = end.makefile("rb", buffering=1 << 16)
        self._received: deque[Any] = deque()
        self._put: list[bytes] = []
        self._sent_s = 0.0
        self._sending = threading.Condition(threading.Lock())  # guards all that follows
        self._watcher: threading.Thread | None = None
        self._is_watched = False  # else what is put has to wake the watcher up
        self._closed = False

    def receive(self) -> Any:
        """Return the next message, having sent what was put before waiting for it.

        EOFError or BrokenPipeError when the loader has closed its end.
        """
        if not self._received:
            if self._put:
                self.flush()
            self._received += self._read()
        return self._received.popleft()

    def _read(self) -> list[Any]:
        """Read the messages of one `flush`."""
        header = self._reader.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise EOFError
        length = _HEADER.unpack(header)[0]
        body = self._reader.read(length)
        if len(body) < length:
            raise EOFError
        messages: list[Any] = pickle.loads(body)
        return messages

    def put(self, message: Any) -> None:
        """Pickle a message as it is now, for the next `flush`; raises what pickling raises."""
        frame = _frame([message])
        with self._sending:
            self._put.append(frame)

    def send(self, message: Any) -> None:
        """Send a message; BrokenPipeError when the loader has closed its end."""
        self.put(message)
        self.flush()

    def flush(self) -> None:
        """Send what was put; BrokenPipeError when the loader has closed its end."""
        with self._sending:
            self._flush()

    def _flush(self) -> None:
        frames, self._put = self._put, []
        if frames:
            self._socket.sendall(b"".join(frames))
            self._sent_s = time.monotonic()

    def flush_soon(self) -> None:
        """Send what was put now or, if something was sent just now, within milliseconds."""
        with self._sending:
            if time.monotonic() - self._sent_s > _HELD_S or not self._has_watcher():
                self._flush()
            elif not self._is_watched:
                self._is_watched = True
                self._sending.notify()

    def _has_watcher(self) -> bool:
        """Start the watcher if need be; False where the process may have no more threads."""
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="DataLoader answers", daemon=True)
            try:
                watcher.start()
            except RuntimeError:
                return False
            self._watcher = watcher
        return True

    def close(self) -> None:
        """End the conversation; what was put and not sent is lost."""
        self._reader.close()
        self._socket.close()
        with self._sending:
            self._closed = True
            self._sending.notify()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self) -> None:
        """Send what is held for too long, as long as anything is held."""
        while self._await_held():
            time.sleep(_LOOK_EVERY_S)
            with self._sending:
                if time.monotonic() - self._sent_s > _LOOK_EVERY_S:
                    try:
                        self._flush()
                    except OSError:
                        return  # the loader has gone: the worker sees it, too

    def _await_held(self) -> bool:
        """Wait until something is held; False when the end was closed."""
        with self._sending:
            while not self._put and not self._closed:
                self._is_watched = False
                self._sending.wait()
            self._is_watched = True
            return not self._closed
