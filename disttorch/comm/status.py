"""What each rank does and did: a page of shared memory that others read while the rank is stuck.

One page a process, in a file of the job's run directory, or in plain memory where there is none.
It outlives its process, so the launcher reads it after `kill -9` as well as during a stall:

    offset 0      magic, rank, process number
    64            ring of the last RING_RECORDS collectives and messages, 32 bytes each: sequence
                  number in its group, number of its entry, when it began, when it ended (or 0.0)
    ENTRIES_AT    the latest N_ENTRIES different calls as JSON: group, operation, shape, file:line

A call in a loop writes its entry once. Times are seconds of the host's monotonic clock, which is
one for all processes of a host.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

RING_RECORDS = 1024
N_ENTRIES = 256
ENTRY_BYTES = 1024
_MAGIC = b"dtstat01"
_HEAD = struct.Struct("<8sqq")
_RING_AT = 64
_RECORD = struct.Struct("<QQdd")
_write_record = _RECORD.pack_into
ENTRIES_AT = _RING_AT + RING_RECORDS * _RECORD.size
# Number of the entry, length of its text.
_ENTRY = struct.Struct("<QQ")
_PAGE_BYTES = ENTRIES_AT + N_ENTRIES * ENTRY_BYTES
_MAX_SITE = 400
_MAX_GROUP = 120
_MAX_DIMS = 12


class CallText(Protocol):
    """The words of a call, as in `header.Call`."""

    operation: str
    reduction: str
    dtype: str
    shape: tuple[int, ...]
    root: int
    site: str


class Recordable(Protocol):
    """A call with room for the number of its entry, 0 before it has one."""

    call: Any
    entry: int


@dataclass(frozen=True)
class Record:
    """One collective or message of one rank; times in seconds, `ended_s` 0.0 while under way."""

    rank: int
    group: str
    sequence: int
    operation: str
    reduction: str
    dtype: str
    shape: tuple[int, ...]
    root: int
    site: str
    begun_s: float
    ended_s: float

    @property
    def under_way(self) -> bool:
        """Whether the rank was still in it when the page was read."""
        return self.ended_s == 0.0

    def describe(self) -> str:
        """`all_reduce #7 of float32 (3, 4) at train.py:41`."""
        number = f" #{self.sequence}" if self.sequence else ""
        what = f" of {self.dtype} {self.shape}" if self.dtype else ""
        return f"{self.operation}{number}{what} at {self.site}"


class StatusPage:
    """The writer's side; `path` is None for memory that only this process sees.

    Safe from several threads. Raises OSError if the file cannot be made.
    """

    def __init__(self, rank: int, path: str | None = None) -> None:
        self.rank = rank
        self.path = path
        self._memory = _make(path)
        _HEAD.pack_into(self._memory, 0, _MAGIC, rank, os.getpid())
        self._view = memoryview(self._memory)
        self._words = self._view.cast("d")
        # Offset of a record, and index of the word for its end.
        offsets = range(_RING_AT, ENTRIES_AT, _RECORD.size)
        self._slots = itertools.cycle([(at, at // 8 + 3) for at in offsets])
        self._entries = itertools.count(1)
        self._oldest = 1

    def begin(self, sequence: int, call: Recordable, group: str) -> int:
        """Record that this rank has arrived at a call; returns the ticket to `end` it with."""
        entry = call.entry
        if entry < self._oldest:
            entry = call.entry = self._describe(call.call, group)
        at, ticket = next(self._slots)
        _write_record(self._view, at, sequence, entry, monotonic(), 0.0)
        return ticket

    def end(self, ticket: int) -> None:
        """Record that the call of a ticket is over."""
        self._words[ticket] = monotonic()

    def _describe(self, call: CallText, group: str) -> int:
        number = next(self._entries)
        self._oldest = max(1, number - N_ENTRIES + 1)
        site = call.site if len(call.site) <= _MAX_SITE else "..." + call.site[3 - _MAX_SITE :]
        fields = (
            group[:_MAX_GROUP], call.operation[:60], call.reduction, call.dtype[:60],
            call.shape[:_MAX_DIMS], call.root, site,
        )  # fmt: skip
        text = json.dumps(fields).encode()[: ENTRY_BYTES - _ENTRY.size]
        at = ENTRIES_AT + (number % N_ENTRIES) * ENTRY_BYTES
        # The number goes last: a reader that finds it finds the text.
        _ENTRY.pack_into(self._memory, at, 0, len(text))
        self._view[at + _ENTRY.size : at + _ENTRY.size + len(text)] = text
        self._view[at : at + 8] = number.to_bytes(8, "little")
        return number

    def records(self) -> list[Record]:
        """What the page holds now, oldest first."""
        return _parse(bytes(self._view))


def page_path(run_dir: str, restart_count: int, rank: int) -> str:
    """The file of a rank's page in the job's run directory."""
    return os.path.join(run_dir, f"status-{restart_count}-{rank}")


def read(path: str) -> list[Record]:
    """The records of a rank's page, oldest first; empty if there is no such page (yet)."""
    try:
        with open(path, "rb") as page:
            return _parse(page.read(_PAGE_BYTES))
    except OSError:
        return []


def read_job(run_dir: str, restart_count: int, ranks: Iterable[int]) -> dict[int, list[Record]]:
    """The records of some ranks of one attempt of a job, which have their pages on this host."""
    return {rank: read(page_path(run_dir, restart_count, rank)) for rank in ranks}


@dataclass(frozen=True)
class Stall:
    """A call in which some ranks wait for others; `waiting` and `missing` are global ranks."""

    record: Record
    waiting: tuple[int, ...]
    missing: tuple[int, ...]
    waited_s: float
    last: Mapping[int, Record | None]

    def lines(self) -> list[str]:
        """Sentences for people: who waits where, who has not arrived and what it did last."""
        waits = ", ".join(map(str, self.waiting))
        lines = [f"rank {waits} has waited {self.waited_s:.1f} s in {self.record.describe()}"]
        for rank in self.missing:
            last = self.last[rank]
            did = f"its last call was {last.describe()}" if last else "it has made no call yet"
            lines.append(f"rank {rank} has not arrived: {did}")
        return lines


def find_stall(job: Mapping[int, Sequence[Record]], now_s: float) -> Stall | None:
    """The collective that has waited longest for ranks that have not come to it, if any.

    Ranks count as members of a group once they have made a call in it; the members of "world" are
    all of `job`.
    """
    waiting = [records[-1] for records in job.values() if records and records[-1].under_way]
    for record in sorted(waiting, key=lambda r: r.begun_s):
        if not record.sequence:
            continue
        members = [rank for rank, records in job.items() if _is_member(rank, record, records)]
        arrived = [rank for rank in members if _arrived(job[rank], record)]
        missing = tuple(rank for rank in members if rank not in arrived)
        if missing:
            last = {rank: (job[rank][-1] if job[rank] else None) for rank in missing}
            return Stall(record, tuple(arrived), missing, now_s - record.begun_s, last)
    return None


def _is_member(rank: int, record: Record, records: Iterable[Record]) -> bool:
    return record.group == "world" or any(other.group == record.group for other in records)


def _arrived(records: Iterable[Record], at: Record) -> bool:
    return any(r.group == at.group and r.sequence >= at.sequence for r in records)


def dump_text(records: Sequence[Record], now_s: float) -> str:
    """A table of records for people, newest last, with how long ago each began and took."""
    lines = ["ago s      took ms    group            call"]
    for record in records:
        took = "under way" if record.under_way else f"{1e3 * (record.ended_s - record.begun_s):.3f}"
        lines.append(
            f"{now_s - record.begun_s:<10.3f} {took:<10} {record.group:<16} {record.describe()}"
        )
    return "\n".join(lines) + "\n"


def dump(page: StatusPage, why: str) -> None:
    """Write the page's records as text beside its file; nothing where it has none.

    Raises OSError if that cannot be written.
    """
    if page.path is None:
        return
    folder, name = os.path.split(page.path)
    path = os.path.join(folder, name.replace("status", "collectives", 1) + ".txt")
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f"rank {page.rank}: {why}\n{dump_text(page.records(), monotonic())}")


def _make(path: str | None) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, _PAGE_BYTES)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Allocated now: a full disk is an error here and not a SIGBUS at a later write.
        os.posix_fallocate(fd, 0, _PAGE_BYTES)
        return mmap.mmap(fd, _PAGE_BYTES)
    except OSError as error:
        why = f"{error.strerror} for the job's run directory (XDG_RUNTIME_DIR or TMPDIR: another)"
        raise OSError(error.errno, why, path) from None
    finally:
        os.close(fd)


def _parse(page: bytes) -> list[Record]:
    if len(page) < _PAGE_BYTES:
        return []
    magic, rank, _ = _HEAD.unpack_from(page)
    if magic != _MAGIC:
        return []
    entries: dict[int, tuple[Any, ...]] = {}
    records = []
    for at in range(_RING_AT, ENTRIES_AT, _RECORD.size):
        sequence, number, begun_s, ended_s = _RECORD.unpack_from(page, at)
        if not number:
            continue
        if number not in entries:
            entries[number] = _entry(page, number)
        group, operation, reduction, dtype, shape, root, site = entries[number]
        call = (operation, reduction, dtype, tuple(shape), root, site)
        records.append(Record(rank, group, sequence, *call, begun_s, ended_s))
    return sorted(records, key=lambda record: record.begun_s)


def _entry(page: bytes, number: int) -> tuple[Any, ...]:
    at = ENTRIES_AT + (number % N_ENTRIES) * ENTRY_BYTES
    found, n_text = _ENTRY.unpack_from(page, at)
    text = page[at + _ENTRY.size : at + _ENTRY.size + n_text]
    if found == number:
        try:
            return tuple(json.loads(text))
        except ValueError:
            pass
    return ("", "a call whose description was overwritten", "", "", (), -1, "unknown")
