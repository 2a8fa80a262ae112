from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch


def test_frombuffer_shares_the_memory():
    memory = bytearray(8)
    x = torch.frombuffer(memory, dtype=torch.float32)
    x[1] = 1
    assert bytes(memory[4:]) == np.float32(1).tobytes()
    assert torch.frombuffer(memory, dtype=torch.float32, count=1, offset=4).tolist() == [1]


@pytest.mark.parametrize(
    ("size", "options", "text"),
    [
        (0, {}, r"both buffer length \(0\) and count \(-1\) must not be 0"),
        (8, {"count": 3}, r"requested buffer length \(3 \* 4 bytes\) after offset \(0 bytes\)"),
        (7, {}, r"must be a multiple of element size \(4\)"),
        (7, {"offset": 9}, r"no greater than buffer length \(7 bytes\) minus 1"),
    ],
)
def test_frombuffer_stays_inside(size, options, text):
    with pytest.raises(ValueError, match=text):
        torch.frombuffer(bytearray(size), dtype=torch.float32, **options)


def test_dlpack_shares_the_memory():
    array = np.arange(3)
    x = torch.from_dlpack(array)
    x[0] = 7
    assert array[0] == 7
    assert np.from_dlpack(x).tolist() == torch.from_dlpack(x).tolist() == [7, 1, 2]
    with pytest.raises(BufferError, match="require gradient"):
        torch.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="invalid capsule"):
        torch.from_dlpack(3)


def test_from_file_writes_through_if_shared(tmp_path):
    path = tmp_path / "numbers"
    torch.from_file(str(path), shared=True, size=3, dtype=torch.int64).fill_(5)
    private = torch.from_file(str(path), shared=False, size=2, dtype=torch.int64)
    private.fill_(6)
    assert np.fromfile(path, "int64").tolist() == [5, 5, 5]
    assert private.tolist() == [6, 6]
