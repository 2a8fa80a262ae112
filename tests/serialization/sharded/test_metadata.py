"""The table of contents of a checkpoint: round trips, and files that are not one."""

import os
import pickle

import pytest

import disttorch as torch
from disttorch.serialization.sharded import metadata as m


def example():
    size = torch.Size([2, 3])
    start = torch.Size([0, 0])
    stored = m.TensorStorageMetadata(
        m.TensorProperties(torch.bfloat16), size, [m.ChunkStorageMetadata(start, size)]
    )
    return m.Metadata(
        {"w": stored, "step": m.BytesStorageMetadata()},
        {"w": ("w",), "step": ("step",)},
        {
            m.MetadataIndex("w", start, 0): m.StorageInfo("__0_0.distcp", 0, 9),
            m.MetadataIndex("step"): m.StorageInfo("__0_0.distcp", 9, 5),
        },
        m.StorageMeta("/folder", "id"),
        m.VERSION,
    )


def test_round_trip():
    assert m.from_bytes(m.to_bytes(example()), "file") == example()


class Runs:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pickle.dumps(Runs()), "blocked"),
        (pickle.dumps([1]), "holds list, not Metadata"),
        (m.to_bytes(example())[:-20], "file"),
        (b"", "file"),
        (b"\x80\x02J\x01", "file is damaged"),  # half of a number
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f.", "file is damaged"),  # bytes beyond all memory
        (pickle.dumps({"a": m.Metadata}), "Unsupported global"),
    ],
)
def test_only_metadata_is_read(data, text):
    with pytest.raises(pickle.UnpicklingError, match=text):
        m.from_bytes(data, "file")
