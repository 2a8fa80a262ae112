"""The job's key: what lets its ranks talk over TCP, and nobody else.

All of a job know one secret, from which ZeroMQ's CURVE keys are made on both ends. Nothing of them
is ever sent in the clear, the server's public key included, so a peer without the secret cannot
even begin a handshake: its connection is dropped before a byte of it is read as a message.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from disttorch.comm.errors import DistNetworkError

VARIABLE = "DISTTORCH_KEY"
_FEWEST_BYTES = 16


@dataclass(frozen=True)
class JobKey:
    """A secret of at least 16 bytes, kept out of `repr`."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _FEWEST_BYTES:
            raise ValueError(f"{VARIABLE} must have {2 * _FEWEST_BYTES} or more hexadecimal digits")

    @classmethod
    def new(cls) -> JobKey:
        """A random key."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_text(cls, text: str) -> JobKey:
        """The key of `to_text`; raises ValueError if it is no hexadecimal number or too short."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise ValueError(
                f"{VARIABLE} must have {2 * _FEWEST_BYTES} or more hexadecimal digits, such as "
                f"`openssl rand -hex 32` prints"
            ) from None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> JobKey | None:
        """The key in the environment, None where there is none."""
        text = environ.get(VARIABLE, "")
        return cls.from_text(text) if text else None

    def to_text(self) -> str:
        """Hexadecimal digits for the environment of a rank."""
        return self.secret.hex()

    def guard_server(self, socket: Any) -> None:
        """Make a zmq socket that will bind refuse peers without the key."""
        public, secret = self._pair(b"server")
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.curve_server = True

    def guard_client(self, socket: Any) -> None:
        """Make a zmq socket that will connect prove that it has the key."""
        socket.curve_serverkey = self._pair(b"server")[0]
        socket.curve_publickey, socket.curve_secretkey = self._pair(b"client")

    def tag(self, purpose: bytes) -> bytes:
        """32 bytes that only holders of the key can make, different for each purpose."""
        return hashlib.blake2b(purpose, key=self.secret[:64], digest_size=32).digest()

    def _pair(self, side: bytes) -> tuple[bytes, bytes]:
        import zmq  # noqa: PLC0415 - importing disttorch must not load it
        from zmq.utils import z85  # noqa: PLC0415 - the same

        if not zmq.has("curve"):
            raise DistNetworkError("this pyzmq was built without CURVE, which TCP needs")
        secret = z85.encode(self.tag(b"curve " + side))
        return zmq.curve_public(secret), secret
