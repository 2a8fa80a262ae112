"""The zip container of torch's files: records under one folder, stored plain, aligned to 64 bytes.

Writing needs a seekable stream. Reading checks each record's CRC, so a damaged file is noticed
before a model trains on it; all damage is reported as one RuntimeError that names the file.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

_ALIGNMENT = 64
_LOCAL_HEADER_NBYTES = 30
_ZIP64_EXTRA_NBYTES = 20
_ZIP64_FROM_NBYTES = 1 << 31
# Bytes moved at a time: large enough for full speed, small enough not to matter in memory.
_BLOCK_NBYTES = 1 << 22


class ArchiveWriter:
    """Writes records to a seekable stream; call `close` at the end."""

    def __init__(self, stream: BinaryIO, folder: str) -> None:
        self._stream, self._folder = stream, folder
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED)

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Add the record `name`, which starts at a multiple of 64 bytes from the file's start."""
        view = memoryview(data).cast("B")
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        info.file_size = view.nbytes
        large = view.nbytes >= _ZIP64_FROM_NBYTES
        info.extra = self._padding(len(info.filename.encode()), large)
        with self._zip.open(info, "w", force_zip64=large) as record:
            for start in range(0, view.nbytes, _BLOCK_NBYTES):
                record.write(view[start : start + _BLOCK_NBYTES])

    def _padding(self, name_nbytes: int, large: bool) -> bytes:
        """Extra header field, of the kind torch writes, that moves the data to the alignment."""
        header = _LOCAL_HEADER_NBYTES + name_nbytes + 4 + (_ZIP64_EXTRA_NBYTES if large else 0)
        nbytes = -(self._stream.tell() + header) % _ALIGNMENT
        return struct.pack("<2sH", b"FB", nbytes) + b"Z" * nbytes

    def close(self) -> None:
        """Write the central directory."""
        self._zip.close()


class ArchiveReader:
    """Reads records of an archive; `label` names the file in errors."""

    def __init__(self, stream: BinaryIO, label: str) -> None:
        self._label = label
        with self._reporting():
            self._zip = zipfile.ZipFile(stream)
        names = self._zip.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if not pickles:
            raise RuntimeError(
                f"{label} is a zip archive but not a checkpoint: it has no record data.pkl"
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        self._names = set(names)

    def read(self, name: str) -> bytes:
        """Return the bytes of a record; RuntimeError if it is missing or damaged."""
        return self.read_array(name).tobytes()

    def has(self, name: str) -> bool:
        """Whether there is a record `name`."""
        return self._folder + name in self._names

    def read_array(self, name: str) -> np.ndarray:
        """Return the bytes of a record as a new uint8 array (nbytes,)."""
        with self._reporting():
            info = self._zip.getinfo(self._folder + name)
            array = np.empty(info.file_size, np.uint8)
            view, at = memoryview(array), 0
            with self._zip.open(info) as record:
                while at < info.file_size:
                    block = record.read(min(_BLOCK_NBYTES, info.file_size - at))
                    if not block:
                        raise EOFError(f"record {name} ends early")
                    view[at : at + len(block)] = block
                    at += len(block)
        return array

    @property
    def is_foreign_endian(self) -> bool:
        """Whether numbers in the file have the other byte order than this machine."""
        return self.has("byteorder") and self.read("byteorder").decode() != sys.byteorder

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn what zipfile raises for damaged files into one error."""
        try:
            yield
        except (zipfile.BadZipFile, EOFError, KeyError, struct.error, NotImplementedError) as e:
            reason = e.args[0] if e.args else type(e).__name__
            raise RuntimeError(
                f"PytorchStreamReader failed reading zip archive: {self._label}: {reason}. The "
                "file is corrupt or was cut short: it was not saved or copied completely, or was "
                "changed afterwards. Load an earlier checkpoint or copy the file again."
            ) from e
