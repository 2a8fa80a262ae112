from __future__ import annotations

import os
import stat

import pytest

from disttorch.serialization.atomic import atomic_writer


def write(path, data):
    with atomic_writer(str(path)) as stream:
        stream.write(data)


def test_replaces_the_file_when_the_block_ends(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(b"old")
    with atomic_writer(str(path)) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x.pt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_keeps_the_old_file_when_writing_fails(tmp_path, error):
    path = tmp_path / "x.pt"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_writer(str(path)) as stream:
        stream.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.pt"]


def test_modes_are_those_of_open(tmp_path):
    plain, ours, kept = tmp_path / "plain", tmp_path / "ours", tmp_path / "kept"
    plain.write_bytes(b"")
    kept.write_bytes(b"")
    kept.chmod(0o640)
    write(ours, b"x")
    write(kept, b"x")
    assert ours.stat().st_mode == plain.stat().st_mode
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640


def test_writes_through_links_and_to_devices(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    write(os.devnull, b"x")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_names_a_missing_folder(tmp_path):
    with pytest.raises(RuntimeError, match=r"Parent directory .*/nowhere does not exist\."):
        write(tmp_path / "nowhere" / "x.pt", b"")
