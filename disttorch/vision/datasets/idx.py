"""The idx format of the MNIST family: a header, then a big-endian array; plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

# Third byte of the magic number -> element type as stored.
ELEMENT_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> np.ndarray:
    """Read one idx file, gzipped or not, into an array of its own shape and native byte order.

    Raises FileNotFoundError, and ValueError naming the file when its header or length is wrong.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file ({error})") from error
    return _parse(raw, str(path))


def _parse(raw: bytes, name: str) -> np.ndarray:
    """Decode header and elements: two zero bytes, element type, rank, rank sizes, elements."""
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in ELEMENT_TYPES:
        raise ValueError(
            f"{name}: not an idx file (it starts with {raw[:4].hex(' ') or 'nothing'})"
        )
    stored, ndim = np.dtype(ELEMENT_TYPES[raw[2]]), raw[3]
    offset = 4 + 4 * ndim
    if len(raw) < offset:
        raise ValueError(f"{name}: idx header cut short at {len(raw)} of {offset} bytes")
    shape = struct.unpack(f">{ndim}I", raw[4:offset])
    expected = math.prod(shape) * stored.itemsize
    if len(raw) - offset != expected:
        raise ValueError(
            f"{name}: shape {shape} needs {expected} bytes of elements, the file has "
            f"{len(raw) - offset}; was the copy interrupted?"
        )
    return np.frombuffer(raw, stored, offset=offset).reshape(shape).astype(stored.newbyteorder("="))
