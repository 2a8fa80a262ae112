from __future__ import annotations

import io
import zipfile

import pytest

from disttorch.serialization import archive
from disttorch.serialization.archive import ArchiveReader, ArchiveWriter

RECORDS = {"data.pkl": b"pickle", "data/0": bytes(range(256)) * 5, "data/1": b"", "version": b"3\n"}


def archived(records):
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "model")
    for name, data in records.items():
        writer.write(name, data)
    writer.close()
    return stream


@pytest.mark.parametrize("zip64_from", [archive._ZIP64_FROM_NBYTES, 0])
def test_reads_what_it_wrote_from_aligned_places(zip64_from, monkeypatch):
    monkeypatch.setattr(archive, "_ZIP64_FROM_NBYTES", zip64_from)
    stream = archived(RECORDS)
    reader = ArchiveReader(stream, "x.pt")
    assert {name: reader.read(name) for name in RECORDS} == RECORDS
    whole = stream.getvalue()
    for name, data in RECORDS.items():
        if len(data) > 1:
            assert whole.index(data) % 64 == 0, name


def test_blocks_are_put_together(monkeypatch):
    monkeypatch.setattr(archive, "_BLOCK_NBYTES", 100)
    assert ArchiveReader(archived(RECORDS), "x.pt").read("data/0") == RECORDS["data/0"]


@pytest.mark.parametrize(("record", "foreign"), [(None, False), (b"little", False), (b"big", True)])
def test_knows_the_byte_order(record, foreign, monkeypatch):
    monkeypatch.setattr("sys.byteorder", "little")
    records = RECORDS if record is None else RECORDS | {"byteorder": record}
    assert ArchiveReader(archived(records), "x.pt").is_foreign_endian is foreign


def cut(data):
    return data[: len(data) // 2]


def without_tail(data):
    return data[:-10]


def with_a_changed_byte(data):
    at = data.index(RECORDS["data/0"]) + 300
    return data[:at] + b"?" + data[at + 1 :]


@pytest.mark.parametrize("damage", [cut, without_tail, with_a_changed_byte])
def test_reports_damage(damage):
    stream = io.BytesIO(damage(archived(RECORDS).getvalue()))
    with pytest.raises(RuntimeError, match=r"PytorchStreamReader failed .*x\.pt.*corrupt"):
        ArchiveReader(stream, "x.pt").read("data/0")


def test_reports_a_missing_record():
    with pytest.raises(RuntimeError, match=r"x\.pt.*data/9"):
        ArchiveReader(archived(RECORDS), "x.pt").read("data/9")


def test_reports_other_zip_files():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a/b", "c")
    with pytest.raises(RuntimeError, match=r"x\.pt is a zip archive but not a checkpoint"):
        ArchiveReader(stream, "x.pt")
