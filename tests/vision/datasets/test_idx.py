"""idx files: every element type, plain and gzipped, and what is said about damaged ones."""

import gzip
import struct

import numpy as np
import pytest

from disttorch.vision.datasets.idx import ELEMENT_TYPES, read_idx


def encode(array, code):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(ELEMENT_TYPES[code]).tobytes()


@pytest.mark.parametrize("code", ELEMENT_TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 3, 4)])
def test_round_trip(tmp_path, code, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    plain, packed = tmp_path / "plain", tmp_path / "packed.gz"
    plain.write_bytes(encode(array, code))
    packed.write_bytes(gzip.compress(encode(array, code)))
    for path in (plain, packed):
        read = read_idx(path)
        assert read.dtype.isnative
        assert read.flags.writeable
        assert read.shape == shape
        np.testing.assert_array_equal(read, array)


GOOD = encode(np.zeros((2, 3)), 0x08)
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "not an idx file"),
        (b"\x89PNG", "not an idx file"),
        (b"\0\0\x07\1" + bytes(8), "not an idx file"),
        (GOOD[:9], "header cut short at 9 of 12 bytes"),
        (GOOD[:-1], r"shape \(2, 3\) needs 6 bytes of elements, the file has 5"),
        (GOOD + b"\0", "the file has 7"),
        (PACKED[:-9], "damaged gzip"),
        (PACKED[:-8] + bytes(8), "damaged gzip"),
    ],
    ids=["empty", "png", "type", "header", "short", "long", "gzip-short", "gzip-checksum"],
)
def test_damaged_files_are_named(tmp_path, raw, complaint):
    path = tmp_path / "broken-idx"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=f"broken-idx.*{complaint}"):
        read_idx(path)
