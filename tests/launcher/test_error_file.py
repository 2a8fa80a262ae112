import json

from disttorch_launcher.error_file import read_error, write_error


def record(path, error):
    """What the launcher reads of an error that was raised here."""
    try:
        raise error
    except BaseException as raised:
        assert write_error(str(path), 3, raised)
    return read_error(str(path))


def test_round_trip(tmp_path):
    found = record(tmp_path / "e", ValueError("boom\nsecond"))
    assert (found.type_name, found.message) == ("ValueError", "boom\nsecond")
    assert found.location.startswith("test_error_file.py:")
    assert found.traceback.endswith("ValueError: boom\nsecond\n")
    assert json.loads((tmp_path / "e").read_text())["rank"] == 3


def test_text_that_no_encoding_has(tmp_path):
    assert record(tmp_path / "e", ValueError("\udcff é")).message == "\udcff é"


def test_huge_message_is_cut_at_its_end_and_the_traceback_at_its_start(tmp_path):
    found = record(tmp_path / "e", ValueError("a" + "x" * 1_000_000 + "z"))
    assert found.message.startswith("ax") and len(found.message) < 200_000
    assert found.traceback.endswith("xz\n") and len(found.traceback) < 200_000


class Unanswerable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_error_without_a_text(tmp_path):
    assert "not available" in record(tmp_path / "e", Unanswerable()).message


class Hostile(Exception):
    @property
    def ranks(self):
        raise RuntimeError("no ranks")


def test_error_that_cannot_be_described_is_left_to_python(tmp_path):
    assert write_error(str(tmp_path / "e"), 0, Hostile()) is False
    assert read_error(str(tmp_path / "e")) is None


def test_no_disk_is_no_error(tmp_path):
    assert write_error(str(tmp_path / "no" / "e"), 0, ValueError()) is False


def test_damaged_file_is_no_record(tmp_path):
    for text in ("", "{", "[]", '{"type": "x"}'):
        (tmp_path / "e").write_text(text)
        assert read_error(str(tmp_path / "e")) is None


def test_only_the_message_of_an_error_without_a_users_line(tmp_path):
    error = ImportError("no module named x")
    error.__cause__ = ValueError("machinery")
    assert write_error(str(tmp_path / "e"), 0, error)
    assert read_error(str(tmp_path / "e")).traceback == "ImportError: no module named x\n"
