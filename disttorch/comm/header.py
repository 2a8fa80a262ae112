"""What each rank says it is calling, written beside its data and compared by every other rank."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from disttorch.comm.callsite import describe, user_frame

HEADER_BYTES = 512
# Words of 8 bytes at the front of a header, then the description.
SIGNATURE, TOKEN, SEQUENCE = 0, 1, 2
DESCRIPTION_AT = 24
_DESCRIPTION = struct.Struct("<32s32s16siB8qH")
_MAX_DIMS = 8
_MAX_SITE_BYTES = HEADER_BYTES - DESCRIPTION_AT - _DESCRIPTION.size
_MAX_CACHED = 4096


@dataclass(frozen=True)
class Call:
    """One collective as a rank called it; `root` is a group rank, or -1.

    Two ranks agree if their `signature` is equal; the call site is only told to people.
    """

    operation: str
    reduction: str
    dtype: str
    shape: tuple[int, ...]
    root: int
    site: str

    @property
    def signature(self) -> int:
        """64 bits over everything but the call site."""
        return digest((self.operation, self.reduction, self.dtype, self.shape, self.root))

    def describe(self, sequence: int) -> str:
        """`all_reduce #7 at train.py:41`."""
        return f"{self.operation} #{sequence} at {self.site}"


class EncodedCall:
    """A call with its signature and its bytes in a header, made once per line and argument kind."""

    __slots__ = ("call", "description", "entry", "plan", "signature")

    def __init__(self, call: Call) -> None:
        self.call = call
        # Whatever a collective works out from the arguments that are the same at each such call.
        self.plan: Any = None
        # Where the status page describes it; 0 before it does.
        self.entry = 0
        self.signature = call.signature
        self.description = _encode(call)


class Named(Protocol):
    """A reduction, as far as its name tells ranks that they agree."""

    @property
    def name(self) -> str:
        """What people call it."""


class CallCache:
    """Finds the `EncodedCall` of a call in a fraction of the time of making it."""

    def __init__(self) -> None:
        self._calls: dict[tuple[object, ...], EncodedCall] = {}

    def find(
        self,
        operation: str,
        reduction: Named | None = None,
        dtype: object = "",
        shape: tuple[int, ...] = (),
        root: int = -1,
    ) -> EncodedCall:
        """The call of `operation` from the user's current line."""
        frame = user_frame()
        # f_lasti, because finding the line number takes time that grows with the function.
        if frame is None:
            file, line, at = "", 0, 0
        else:
            file, line, at = frame.f_code.co_filename, frame.f_code.co_firstlineno, frame.f_lasti
        key = (operation, reduction, dtype, shape, root, file, line, at)
        found = self._calls.get(key)
        if found is None:
            if len(self._calls) >= _MAX_CACHED:
                self._calls.clear()
            name = "" if reduction is None else reduction.name
            call = Call(operation, name, str(dtype), shape, root, describe(frame))
            found = self._calls[key] = EncodedCall(call)
        return found


def digest(value: object) -> int:
    """64 bits of a value's `repr`, equal in all processes."""
    return int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "little")


def decode(header: bytes | memoryview) -> Call:
    """The call described in the HEADER_BYTES of a header."""
    fields = _DESCRIPTION.unpack_from(header, DESCRIPTION_AT)
    operation, reduction, dtype, root, n_dims, *dims, n_site = fields
    site_at = DESCRIPTION_AT + _DESCRIPTION.size
    site = bytes(header[site_at : site_at + n_site])
    texts = [text.rstrip(b"\0").decode(errors="replace") for text in (operation, reduction, dtype)]
    shape = tuple(dims[:n_dims])
    return Call(texts[0], texts[1], texts[2], shape, root, site.decode(errors="replace"))


def table(ranks: Sequence[int], calls: Sequence[Call], sequence: int) -> str:
    """The text of a mismatch: one row a rank, and what to do."""
    titles = ("rank", "operation", "reduce", "dtype", "shape", "root", "called at")
    rows = [titles] + [
        (
            str(rank),
            call.operation,
            call.reduction or "-",
            call.dtype or "-",
            str(call.shape) if call.dtype else "-",
            str(call.root) if call.root >= 0 else "-",
            call.site,
        )
        for rank, call in zip(ranks, calls, strict=True)
    ]
    used = [i for i in range(len(titles)) if i in (0, 1, 6) or any(r[i] != "-" for r in rows[1:])]
    widths = [max(len(row[i]) for row in rows) for i in used]
    lines = [
        "  ".join(row[i].ljust(width) for i, width in zip(used, widths, strict=True)).rstrip()
        for row in rows
    ]
    return (
        f"ranks disagree in collective #{sequence}:\n  " + "\n  ".join(lines) + f"\n{_hint(calls)}"
    )


def _hint(calls: Sequence[Call]) -> str:
    if len({call.operation for call in calls}) > 1:
        return (
            "All ranks must call the same collectives in the same order: look for a condition on "
            "the rank, an early return, or loops of different length."
        )
    for name, advice in (
        ("dtype", "convert the arrays to one dtype"),
        ("shape", "give all ranks arrays of one shape, padded or sharded evenly"),
        ("root", "pass the same src or dst on all ranks"),
        ("reduction", "pass the same ReduceOp on all ranks, train several models in one order"),
    ):
        if len({getattr(call, name) for call in calls}) > 1:
            if len({call.site for call in calls}) > 1:
                return (
                    "The ranks are at different lines: all must call the same collectives in the "
                    "same order, with arguments that fit."
                )
            return f"The {name} differs: {advice}."
    return "The arguments differ: pass the same ones on all ranks."


def _encode(call: Call) -> bytes:
    # The bytes of a path need not be UTF-8.
    site = call.site.encode(errors="backslashreplace")
    if len(site) > _MAX_SITE_BYTES:
        # The end of a path, and the line, tell more than its start.
        site = b"..." + site[3 - _MAX_SITE_BYTES :]
    dims = (*call.shape[:_MAX_DIMS], *(0,) * (_MAX_DIMS - len(call.shape)))
    texts = (call.operation.encode()[:32], call.reduction.encode()[:32], call.dtype.encode()[:16])
    n_dims = min(len(call.shape), _MAX_DIMS)
    return _DESCRIPTION.pack(*texts, call.root, n_dims, *dims, len(site)) + site
